/* What needs no socket: version, capabilities, keys, counters, stopwatch, threads. */
#include "say.h"

static void body (void *arg)
{
    for (int i = 0; i < 10000; i++)
        zmq_atomic_counter_inc (arg);
}

static void counters (void)
{
    void *counter = zmq_atomic_counter_new ();
    void *threads[4];
    TELL (zmq_atomic_counter_value (counter));
    TELL (zmq_atomic_counter_inc (counter));
    TELL (zmq_atomic_counter_inc (counter));
    TELL (zmq_atomic_counter_dec (counter));
    TELL (zmq_atomic_counter_dec (counter));
    zmq_atomic_counter_set (counter, 7);
    TELL (zmq_atomic_counter_value (counter));
    for (int i = 0; i < 4; i++)
        threads[i] = zmq_threadstart (body, counter);
    for (int i = 0; i < 4; i++)
        zmq_threadclose (threads[i]);
    TELL (zmq_atomic_counter_value (counter));
    zmq_atomic_counter_destroy (&counter);
    say ("set to null: %d", counter == NULL);
}

static void z85 (void)
{
    /* The example of RFC 32. */
    static const uint8_t bytes[8] = {0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B};
    uint8_t back[16];
    char text[16];
    say ("%s", zmq_z85_encode (text, bytes, 8));
    say ("gives its argument: %d", zmq_z85_decode (back, text) == back);
    say ("the same: %d", memcmp (bytes, back, 8) == 0);
    TELL_POINTER (zmq_z85_encode (text, bytes, 7));
    TELL_POINTER (zmq_z85_decode (back, "four"));
    TELL_POINTER (zmq_z85_decode (back, "\"\"\"\"\""));
    TELL_POINTER (zmq_z85_decode (back, "#####"));
    TELL_POINTER (zmq_z85_decode (back, "%nSc1"));
}

static void curve (void)
{
    char public_key[41], secret_key[41], derived[41];
    TELL (zmq_curve_keypair (public_key, secret_key));
    say ("%zu and %zu characters", strlen (public_key), strlen (secret_key));
    TELL (zmq_curve_public (derived, secret_key));
    say ("the same: %d", strcmp (derived, public_key) == 0);
    /* The client's keys in the manual of curve. */
    TELL (zmq_curve_public (derived, "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"));
    say ("%s", derived);
    TELL (zmq_curve_public (derived, "too short"));
}

int main (void)
{
    int major, minor, patch;
    zmq_version (&major, &minor, &patch);
    say ("version %d.%d", major, minor);
    TELL (zmq_has ("ipc"));
    TELL (zmq_has ("curve"));
    TELL (zmq_has ("nonsense"));
    TELL (zmq_has (""));
    say ("%s", zmq_strerror (EINVAL));
    say ("%s", zmq_strerror (EAGAIN));
    say ("ours have words too: %d",
         strlen (zmq_strerror (EFSM)) > 9 && strlen (zmq_strerror (ETERM)) > 9
           && strlen (zmq_strerror (EMTHREAD)) > 9 && strlen (zmq_strerror (ENOCOMPATPROTO)) > 9);
    counters ();
    z85 ();
    curve ();
    void *watch = zmq_stopwatch_start ();
    unsigned long first = zmq_stopwatch_intermediate (watch);
    say ("time goes on: %d", zmq_stopwatch_stop (watch) >= first);
    zmq_sleep (0);
    return 0;
}

/* Timers: which are called, in which order, and what bad arguments give. */
#include "say.h"

#include <time.h>

static void *timers;
static int again;

static void called (int id, void *arg)
{
    (void) id;
    say ("called: %s", (const char *) arg);
    again++;
}

static void cancels_itself (int id, void *arg)
{
    say ("called: %s", (const char *) arg);
    TELL (zmq_timers_cancel (timers, id));
}

/* Waits as a program would: until the next is due, as the library says. */
static void run (int rounds)
{
    for (int i = 0; i < rounds; i++) {
        long wait = zmq_timers_timeout (timers);
        if (wait > 0) {
            struct timespec time = {wait / 1000, wait % 1000 * 1000000};
            nanosleep (&time, NULL);
        }
        TELL (zmq_timers_execute (timers));
    }
}

int main (void)
{
    alarm (PATIENCE_SECONDS);
    timers = zmq_timers_new ();
    TELL (zmq_timers_timeout (timers));
    TELL (zmq_timers_execute (timers));

    int slow = zmq_timers_add (timers, 100000, called, "slow");
    int quick = zmq_timers_add (timers, 300, called, "quick");
    int once = zmq_timers_add (timers, 10, cancels_itself, "once");
    say ("ids differ: %d", slow != quick && quick != once && slow != once);
    say ("next in at most 10: %d", zmq_timers_timeout (timers) <= 10);
    run (2);
    TELL (zmq_timers_cancel (timers, once));
    TELL (zmq_timers_cancel (timers, quick));
    say ("the slow one is left: %d", zmq_timers_timeout (timers) > 90000);
    TELL (zmq_timers_set_interval (timers, slow, 5));
    say ("and made quick: %d", zmq_timers_timeout (timers) <= 5);
    run (1);
    TELL (zmq_timers_set_interval (timers, slow, 100000));
    TELL (zmq_timers_reset (timers, slow));
    say ("a whole interval from now: %d", zmq_timers_timeout (timers) > 99000);
    TELL (zmq_timers_execute (timers));

    /* In the order of their times, not of their making. */
    zmq_timers_add (timers, 30, called, "third");
    zmq_timers_add (timers, 10, called, "first");
    zmq_timers_add (timers, 20, called, "second");
    struct timespec time = {0, 50000000};
    nanosleep (&time, NULL);
    again = 0;
    TELL (zmq_timers_execute (timers));
    say ("called in all: %d", again);

    TELL (zmq_timers_cancel (timers, 12345));
    TELL (zmq_timers_reset (timers, 12345));
    TELL (zmq_timers_set_interval (timers, 12345, 10));
    TELL (zmq_timers_add (timers, 10, NULL, NULL));
    TELL (zmq_timers_add (NULL, 10, called, NULL));
    TELL (zmq_timers_cancel (NULL, 1));
    TELL (zmq_timers_reset (NULL, 1));
    TELL (zmq_timers_set_interval (NULL, 1, 10));
    TELL (zmq_timers_timeout (NULL));
    TELL (zmq_timers_execute (NULL));
    void *nothing = NULL;
    TELL (zmq_timers_destroy (&nothing));
    TELL (zmq_timers_destroy (&timers));
    say ("set to null: %d", timers == NULL);
    return 0;
}

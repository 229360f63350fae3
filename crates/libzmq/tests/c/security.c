/* Which mechanism the options come to, in which forms keys are taken and told, and a conversation under
 * each mechanism. */
#include "say.h"

static const char public_key[] = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";
static const char secret_key[] = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs";
static const char server_public[] = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";
static const char server_secret[] = "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6";

static void say_mechanism (void *socket, const char *after)
{
    say ("%s: mechanism %d, plain server %d, curve server %d", after,
         number_of (socket, ZMQ_MECHANISM), number_of (socket, ZMQ_PLAIN_SERVER),
         number_of (socket, ZMQ_CURVE_SERVER));
}

#define SET_TEXT(socket, option, text) \
    do { \
        TELL (zmq_setsockopt (socket, option, text, strlen (text))); \
        say_mechanism (socket, #option " is text"); \
    } while (0)
#define SET_NUMBER(socket, option, number) \
    do { \
        int value = number; \
        TELL (zmq_setsockopt (socket, option, &value, sizeof value)); \
        say_mechanism (socket, #option " is " #number); \
    } while (0)
#define SET_NOTHING(socket, option) \
    do { \
        TELL (zmq_setsockopt (socket, option, NULL, 0)); \
        say_mechanism (socket, #option " is nothing"); \
    } while (0)

/* The last one set decides. */
static void mechanisms (void *context)
{
    void *socket = new_socket (context, ZMQ_DEALER);
    say_mechanism (socket, "at first");
    SET_NUMBER (socket, ZMQ_PLAIN_SERVER, 1);
    SET_TEXT (socket, ZMQ_CURVE_SECRETKEY, secret_key);
    SET_TEXT (socket, ZMQ_CURVE_SERVERKEY, server_public);
    SET_NUMBER (socket, ZMQ_PLAIN_SERVER, 2);
    SET_NUMBER (socket, ZMQ_PLAIN_SERVER, 0);
    SET_TEXT (socket, ZMQ_PLAIN_USERNAME, "admin");
    SET_TEXT (socket, ZMQ_PLAIN_PASSWORD, "secret");
    SET_NOTHING (socket, ZMQ_PLAIN_USERNAME);
    SET_TEXT (socket, ZMQ_PLAIN_PASSWORD, "secret");
    SET_NUMBER (socket, ZMQ_CURVE_SERVER, 1);
    SET_NUMBER (socket, ZMQ_CURVE_SERVER, -1);
    SET_TEXT (socket, ZMQ_PLAIN_USERNAME, "admin");
    SET_TEXT (socket, ZMQ_CURVE_PUBLICKEY, public_key);
    SET_NUMBER (socket, ZMQ_CURVE_SERVER, 1);
    SET_TEXT (socket, ZMQ_CURVE_PUBLICKEY, public_key);
    SET_NUMBER (socket, ZMQ_CURVE_SERVER, 0);
    SET_TEXT (socket, ZMQ_ZAP_DOMAIN, "global");
    MUST (zmq_close (socket));
}

static void forms (void *context)
{
    static const int options[] = {ZMQ_CURVE_PUBLICKEY, ZMQ_CURVE_SECRETKEY, ZMQ_CURVE_SERVERKEY};
    unsigned char octets[32];
    assert (zmq_z85_decode (octets, public_key));
    for (size_t i = 0; i < 3; i++) {
        for (size_t length = 0; length <= 42; length++) {
            char value[64] = {0};
            void *socket = new_socket (context, ZMQ_DEALER);
            if (length == 32)
                memcpy (value, octets, 32);
            else
                memcpy (value, public_key, length < 40 ? length : 40);
            if (zmq_setsockopt (socket, options[i], value, length) == 0) {
                say ("option %d takes %zu bytes", options[i], length);
                for (size_t room = 0; room <= 64; room++) {
                    char told[64] = {0};
                    size_t used = room;
                    if (zmq_getsockopt (socket, options[i], told, &used) == 0)
                        say ("with room for %zu: %zu bytes, %s", room, used,
                             room == 32 && memcmp (told, octets, 32) == 0 ? "the key" : told);
                }
            }
            MUST (zmq_close (socket));
        }
        void *socket = new_socket (context, ZMQ_DEALER);
        TELL (zmq_setsockopt (socket, options[i], "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hI~", 40));
        say_mechanism (socket, "no key");
        MUST (zmq_close (socket));
    }
}

static void converse (void *server, void *client)
{
    char endpoint[256];
    bind_to (server, "tcp://127.0.0.1:*", endpoint);
    MUST (zmq_connect (client, endpoint));
    send_text (client, "hello", ZMQ_SNDMORE);
    send_text (client, "there", 0);
    while (say_frame (server, "server"))
        ;
    send_text (server, "and back", 0);
    while (say_frame (client, "client"))
        ;
    MUST (zmq_close (client));
    MUST (zmq_close (server));
}

static void set_text (void *socket, int option, const char *text)
{
    MUST (zmq_setsockopt (socket, option, text, strlen (text)));
}

static void curve (void *context)
{
    void *server = new_socket (context, ZMQ_PAIR), *client = new_socket (context, ZMQ_PAIR);
    set (server, ZMQ_CURVE_SERVER, 1);
    set_text (server, ZMQ_CURVE_SECRETKEY, server_secret);
    set_text (client, ZMQ_CURVE_SERVERKEY, server_public);
    set_text (client, ZMQ_CURVE_PUBLICKEY, public_key);
    set_text (client, ZMQ_CURVE_SECRETKEY, secret_key);
    converse (server, client);
}

int main (void)
{
    void *context = new_context ();
    mechanisms (context);
    forms (context);
    curve (context);
    MUST (zmq_ctx_term (context));
    return 0;
}

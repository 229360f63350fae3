/* A proxy that is steered: it relays, captures, pauses, goes on, counts and ends. And one that ends
 * with its context. */
#include "say.h"

#include <pthread.h>

struct proxy
{
    void *frontend, *backend, *capture, *control;
};

static void *relay (void *arg)
{
    struct proxy *p = arg;
    int given = p->control
                  ? zmq_proxy_steerable (p->frontend, p->backend, p->capture, p->control)
                  : zmq_proxy (p->frontend, p->backend, p->capture);
    say ("the proxy gives %d, %s", given, given ? name_of (zmq_errno ()) : "no error");
    MUST (zmq_close (p->frontend));
    MUST (zmq_close (p->backend));
    return NULL;
}

/* How many numbers come, said or not. */
static int statistics (void *control, int aloud)
{
    int more, count = 0;
    send_text (control, "STATISTICS", 0);
    do {
        uint64_t value = 0;
        int length = zmq_recv (control, &value, sizeof value, 0);
        more = number_of (control, ZMQ_RCVMORE);
        if (aloud)
            say ("%d bytes: %llu", length, (unsigned long long) value);
        count++;
    } while (more);
    return count;
}

static void steered (void)
{
    void *context = new_context ();
    struct proxy p = {new_socket (context, ZMQ_ROUTER), new_socket (context, ZMQ_DEALER),
                      new_socket (context, ZMQ_PUSH), new_socket (context, ZMQ_PAIR)};
    void *client = new_socket (context, ZMQ_REQ);
    void *server = new_socket (context, ZMQ_REP);
    void *captured = new_socket (context, ZMQ_PULL);
    void *control = new_socket (context, ZMQ_PAIR);
    pthread_t thread;
    MUST (zmq_setsockopt (client, ZMQ_ROUTING_ID, "client", 6));
    link_up (p.frontend, client, "tcp://127.0.0.1:*");
    link_up (p.backend, server, "inproc://backend");
    link_up (captured, p.capture, "inproc://capture");
    link_up (control, p.control, "inproc://control");
    pthread_create (&thread, NULL, relay, &p);

    for (int round = 0; round < 2; round++) {
        send_text (client, "question", 0);
        say_message (server, "server");
        send_text (server, "the answer", 0);
        say_message (client, "client");
        say_message (captured, "captured");
        say_message (captured, "captured");
    }

    /* Paused, nothing passes. That it has heard PAUSE its answer to STATISTICS tells. */
    send_text (control, "PAUSE", 0);
    say ("statistics of %d numbers", statistics (control, 0));
    send_text (client, "later", 0);
    zmq_pollitem_t item = {server, 0, ZMQ_POLLIN, 0};
    TELL (zmq_poll (&item, 1, 100));
    send_text (control, "RESUME", 0);
    say_message (server, "server");
    send_text (server, "now", 0);
    say_message (client, "client");

    send_text (control, "TERMINATE", 0);
    pthread_join (thread, NULL);
    MUST (zmq_close (client));
    MUST (zmq_close (server));
    MUST (zmq_close (captured));
    MUST (zmq_close (control));
    MUST (zmq_close (p.capture));
    MUST (zmq_close (p.control));
    MUST (zmq_ctx_term (context));
}

/* What is counted, with messages of one frame: libzmq's versions differ in what they count of more. */
static void counted (void)
{
    void *context = new_context ();
    struct proxy p = {new_socket (context, ZMQ_PULL), new_socket (context, ZMQ_PUSH), NULL,
                      new_socket (context, ZMQ_PAIR)};
    void *push = new_socket (context, ZMQ_PUSH);
    void *pull = new_socket (context, ZMQ_PULL);
    void *control = new_socket (context, ZMQ_PAIR);
    pthread_t thread;
    link_up (p.frontend, push, "tcp://127.0.0.1:*");
    link_up (p.backend, pull, "tcp://127.0.0.1:*");
    link_up (control, p.control, "inproc://counted");
    pthread_create (&thread, NULL, relay, &p);
    for (int i = 0; i < 3; i++) {
        send_text (push, "ten bytes.", 0);
        say_message (pull, "pull");
    }
    statistics (control, 1);
    send_text (control, "TERMINATE", 0);
    pthread_join (thread, NULL);
    MUST (zmq_close (push));
    MUST (zmq_close (pull));
    MUST (zmq_close (control));
    MUST (zmq_close (p.control));
    MUST (zmq_ctx_term (context));
}

static void until_the_end (void)
{
    void *context = new_context ();
    struct proxy p = {new_socket (context, ZMQ_XSUB), new_socket (context, ZMQ_XPUB), NULL, NULL};
    void *pub = new_socket (context, ZMQ_XPUB);
    void *sub = new_socket (context, ZMQ_SUB);
    char topic[2] = "";
    pthread_t thread;
    MUST (zmq_setsockopt (sub, ZMQ_SUBSCRIBE, "t", 1));
    link_up (pub, p.frontend, "tcp://127.0.0.1:*");
    link_up (p.backend, sub, "tcp://127.0.0.1:*");
    pthread_create (&thread, NULL, relay, &p);
    MUST (zmq_recv (pub, topic, 2, 0));
    say ("a subscription came through: %d%c", topic[0], topic[1]);
    send_text (pub, "not this", 0);
    send_text (pub, "this", ZMQ_SNDMORE);
    send_text (pub, "and that", 0);
    say_message (sub, "sub");
    MUST (zmq_close (pub));
    MUST (zmq_close (sub));
    MUST (zmq_ctx_shutdown (context));
    pthread_join (thread, NULL);
    MUST (zmq_ctx_term (context));
}

int main (void)
{
    steered ();
    counted ();
    until_the_end ();
    return 0;
}

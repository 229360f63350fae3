/* The application's memory is given back exactly once, whatever became of the message and on
 * whichever thread. */
#include "say.h"

#include <pthread.h>
#include <stdatomic.h>

#define SIZE 20000

static atomic_int freed;
static atomic_int wrong;
static int hint_of_ours;

static void count (void *data, void *hint)
{
    if (hint != &hint_of_ours)
        atomic_fetch_add (&wrong, 1);
    free (data);
    atomic_fetch_add (&freed, 1);
}

static void message (zmq_msg_t *msg, size_t size)
{
    void *memory = malloc (size ? size : 1);
    memset (memory, 'm', size);
    MUST (zmq_msg_init_data (msg, memory, size, count, &hint_of_ours));
}

static void result (const char *what)
{
    say ("%s: freed %d, wrong hints %d", what, atomic_exchange (&freed, 0), atomic_load (&wrong));
}

static void alone (void)
{
    zmq_msg_t msg, other, third;

    message (&msg, SIZE);
    say ("data is ours: %d", *(char *) zmq_msg_data (&msg) == 'm');
    MUST (zmq_msg_close (&msg));
    result ("closed");

    message (&msg, 0);
    MUST (zmq_msg_close (&msg));
    result ("closed, without a byte");

    message (&msg, 5);
    MUST (zmq_msg_close (&msg));
    result ("closed, with five");

    message (&msg, SIZE);
    MUST (zmq_msg_init (&other));
    MUST (zmq_msg_copy (&other, &msg));
    say ("same memory: %d", zmq_msg_data (&other) == zmq_msg_data (&msg));
    say ("shared: %d", zmq_msg_get (&other, ZMQ_SHARED));
    MUST (zmq_msg_close (&msg));
    result ("one of two copies closed");
    MUST (zmq_msg_close (&other));
    result ("both closed");

    message (&msg, SIZE);
    message (&other, SIZE);
    MUST (zmq_msg_init (&third));
    MUST (zmq_msg_copy (&third, &other));
    MUST (zmq_msg_move (&other, &msg));
    result ("moved onto one of two copies");
    say ("what was moved away: %zu bytes", zmq_msg_size (&msg));
    MUST (zmq_msg_close (&msg));
    MUST (zmq_msg_close (&other));
    MUST (zmq_msg_close (&third));
    result ("all closed");

    /* No function: the memory stays the application's. */
    static char fixed[] = "fixed";
    MUST (zmq_msg_init_data (&msg, fixed, 5, NULL, NULL));
    say ("%.5s", (char *) zmq_msg_data (&msg));
    MUST (zmq_msg_close (&msg));
    result ("no function");
}

static void *receive (void *socket)
{
    for (int i = 0; i < 10; i++) {
        zmq_msg_t msg;
        MUST (zmq_msg_init (&msg));
        int size = zmq_msg_recv (&msg, socket, 0);
        if (size != SIZE || ((char *) zmq_msg_data (&msg))[SIZE - 1] != 'm')
            say ("received %d", size);
        MUST (zmq_msg_close (&msg));
    }
    return NULL;
}

static void over (const char *endpoint)
{
    void *context = new_context ();
    void *push = new_socket (context, ZMQ_PUSH);
    void *pull = new_socket (context, ZMQ_PULL);
    zmq_msg_t msg;
    pthread_t thread;
    link_up (pull, push, endpoint);
    pthread_create (&thread, NULL, receive, pull);
    for (int i = 0; i < 10; i++) {
        message (&msg, SIZE);
        MUST (zmq_msg_send (&msg, push, 0));
        say ("left after the send: %zu", zmq_msg_size (&msg));
        MUST (zmq_msg_close (&msg));
    }
    pthread_join (thread, NULL);
    MUST (zmq_close (push));
    MUST (zmq_close (pull));
    MUST (zmq_ctx_term (context));
    result (endpoint);
}

/* Messages that nobody receives. */
static void in_vain (void)
{
    void *context = new_context ();
    void *pub = new_socket (context, ZMQ_PUB);
    void *push = new_socket (context, ZMQ_PUSH);
    void *dealer = new_socket (context, ZMQ_DEALER);
    void *pair[2] = {new_socket (context, ZMQ_PAIR), new_socket (context, ZMQ_PAIR)};
    zmq_msg_t msg;

    message (&msg, SIZE);
    MUST (zmq_msg_send (&msg, pub, 0));
    result ("published to nobody");

    message (&msg, SIZE);
    TELL (zmq_msg_send (&msg, push, ZMQ_DONTWAIT));
    say ("still there: %zu", zmq_msg_size (&msg));
    result ("not sent");
    MUST (zmq_msg_close (&msg));
    result ("closed after that");

    set (dealer, ZMQ_LINGER, 0);
    MUST (zmq_connect (dealer, "tcp://127.0.0.1:9"));
    for (int i = 0; i < 5; i++) {
        message (&msg, SIZE);
        MUST (zmq_msg_send (&msg, dealer, i % 2 ? ZMQ_SNDMORE : 0));
    }
    result ("queued for a peer that is not there");

    link_up (pair[0], pair[1], "inproc://in-vain");
    for (int i = 0; i < 5; i++) {
        message (&msg, SIZE);
        MUST (zmq_msg_send (&msg, pair[1], 0));
    }
    result ("in a queue inside");

    MUST (zmq_close (pair[0]));
    MUST (zmq_close (pair[1]));
    MUST (zmq_close (dealer));
    MUST (zmq_close (push));
    MUST (zmq_close (pub));
    MUST (zmq_ctx_term (context));
    result ("all over");
}

/* One message to three subscribers, each of which closes it in its own time. */
static void to_three (const char *endpoint)
{
    void *context = new_context ();
    void *pub = new_socket (context, ZMQ_PUB);
    void *sub[3];
    zmq_msg_t msg, got[3];
    char found[256];
    int sent = 0;
    bind_to (pub, endpoint, found);
    for (int i = 0; i < 3; i++) {
        sub[i] = new_socket (context, ZMQ_SUB);
        MUST (zmq_setsockopt (sub[i], ZMQ_SUBSCRIBE, "m", 1));
        MUST (zmq_connect (sub[i], found));
        MUST (zmq_msg_init (&got[i]));
    }
    /* Publishes until every subscription has come through. */
    for (int all = 0; !all;) {
        message (&msg, SIZE);
        MUST (zmq_msg_send (&msg, pub, 0));
        sent++;
        all = 1;
        for (int i = 0; i < 3; i++) {
            zmq_pollitem_t item = {sub[i], 0, ZMQ_POLLIN, 0};
            if (zmq_msg_size (&got[i]) == 0 && zmq_poll (&item, 1, 10) == 1)
                MUST (zmq_msg_recv (&got[i], sub[i], 0));
            all &= zmq_msg_size (&got[i]) != 0;
        }
    }
    say ("each has %zu %zu %zu", zmq_msg_size (&got[0]), zmq_msg_size (&got[1]),
         zmq_msg_size (&got[2]));
    for (int i = 0; i < 3; i++) {
        MUST (zmq_msg_close (&got[i]));
        MUST (zmq_close (sub[i]));
    }
    MUST (zmq_close (pub));
    MUST (zmq_ctx_term (context));
    say ("to three, over %.6s: all freed %d", endpoint, atomic_exchange (&freed, 0) == sent);
}

int main (void)
{
    alone ();
    over ("inproc://free-once");
    over ("tcp://127.0.0.1:*");
    over ("ipc://*");
    in_vain ();
    to_three ("inproc://three");
    to_three ("tcp://127.0.0.1:*");
    say ("wrong hints %d", atomic_load (&wrong));
    return 0;
}

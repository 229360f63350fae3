/* A program with a loop of its own around ZMQ_FD, which tells of changes only: it must look at
 * ZMQ_EVENTS until there is nothing left. */
#include "say.h"

#include <poll.h>
#include <pthread.h>

#define MESSAGES 5000

static void *send_all (void *socket)
{
    for (int i = 0; i < MESSAGES; i++) {
        zmq_msg_t msg;
        MUST (zmq_msg_init_size (&msg, sizeof i));
        memcpy (zmq_msg_data (&msg), &i, sizeof i);
        MUST (zmq_msg_send (&msg, socket, 0));
    }
    return NULL;
}

static void over (void *context, const char *endpoint)
{
    void *pull = new_socket (context, ZMQ_PULL);
    void *push = new_socket (context, ZMQ_PUSH);
    pthread_t thread;
    int next = 0;
    link_up (pull, push, endpoint);
    struct pollfd entry = {number_of (pull, ZMQ_FD), POLLIN, 0};
    say ("over %.6s, a descriptor: %d, at first: %d", endpoint, entry.fd >= 0,
         number_of (pull, ZMQ_EVENTS));
    pthread_create (&thread, NULL, send_all, push);
    while (next < MESSAGES) {
        while (number_of (pull, ZMQ_EVENTS) & ZMQ_POLLIN) {
            int got = -1;
            MUST (zmq_recv (pull, &got, sizeof got, ZMQ_DONTWAIT));
            if (got != next)
                say ("%d instead of %d", got, next);
            next++;
        }
        if (next < MESSAGES && poll (&entry, 1, 10000) != 1) {
            say ("no word after %d", next);
            exit (1);
        }
    }
    pthread_join (thread, NULL);
    say ("received %d, left: %d", next, number_of (pull, ZMQ_EVENTS));
    TELL (zmq_recv (pull, NULL, 0, ZMQ_DONTWAIT));
    MUST (zmq_close (push));
    MUST (zmq_close (pull));
}

/* The same with replies: sending changes the events too. */
static void in_turn (void *context)
{
    void *rep = new_socket (context, ZMQ_REP);
    void *req = new_socket (context, ZMQ_REQ);
    link_up (rep, req, "tcp://127.0.0.1:*");
    struct pollfd entry = {number_of (rep, ZMQ_FD), POLLIN, 0};
    int served = 0;
    for (int i = 0; i < 100; i++) {
        send_text (req, "question", 0);
        while (!(number_of (rep, ZMQ_EVENTS) & ZMQ_POLLIN))
            if (poll (&entry, 1, 10000) != 1) {
                say ("no word after %d", served);
                exit (1);
            }
        MUST (zmq_recv (rep, NULL, 0, ZMQ_DONTWAIT));
        send_text (rep, "answer", 0);
        MUST (zmq_recv (req, NULL, 0, 0));
        served++;
    }
    say ("served %d", served);
    MUST (zmq_close (req));
    MUST (zmq_close (rep));
}

int main (void)
{
    void *context = new_context ();
    over (context, "tcp://127.0.0.1:*");
    over (context, "inproc://descriptor");
    over (context, "ipc://*");
    in_turn (context);
    MUST (zmq_ctx_term (context));
    return 0;
}

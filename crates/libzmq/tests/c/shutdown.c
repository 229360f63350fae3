/* A context that is shut down while threads wait in it, and calls after that. */
#include "say.h"

#include <pthread.h>

struct waiter
{
    const char *what;
    void *socket;
    int started[2];
    char said[128];
};

static void *wait_in_it (void *arg)
{
    struct waiter *w = arg;
    zmq_pollitem_t item = {w->socket, 0, ZMQ_POLLIN, 0};
    int given;
    if (write (w->started[1], "x", 1) != 1)
        abort ();
    switch (w->what[0]) {
        case 'r':
            given = zmq_recv (w->socket, NULL, 0, 0);
            break;
        case 's':
            given = zmq_send (w->socket, "", 0, 0);
            break;
        default:
            given = zmq_poll (&item, 1, -1);
    }
    snprintf (w->said, sizeof w->said, "%s: %d, %s", w->what, given, name_of (zmq_errno ()));
    MUST (zmq_close (w->socket));
    return NULL;
}

static void while_waiting (int before)
{
    void *context = new_context ();
    struct waiter waiters[3] = {
      {"recv", new_socket (context, ZMQ_PULL), {0, 0}, ""},
      {"send", new_socket (context, ZMQ_PUSH), {0, 0}, ""},
      {"poll", new_socket (context, ZMQ_SUB), {0, 0}, ""},
    };
    pthread_t threads[3];
    if (before)
        MUST (zmq_ctx_shutdown (context));
    for (int i = 0; i < 3; i++) {
        char byte;
        if (pipe (waiters[i].started) != 0)
            abort ();
        pthread_create (&threads[i], NULL, wait_in_it, &waiters[i]);
        if (read (waiters[i].started[0], &byte, 1) != 1)
            abort ();
    }
    if (!before)
        MUST (zmq_ctx_shutdown (context));
    for (int i = 0; i < 3; i++) {
        pthread_join (threads[i], NULL);
        say ("%s", waiters[i].said);
        close (waiters[i].started[0]);
        close (waiters[i].started[1]);
    }
    TELL (zmq_ctx_term (context));
}

static int term_gave = 9;

static void *terminate (void *context)
{
    term_gave = zmq_ctx_term (context);
    return NULL;
}

/* zmq_ctx_term shuts down as well, and waits for the sockets. */
static void by_term (void)
{
    void *context = new_context ();
    void *pull = new_socket (context, ZMQ_PULL);
    pthread_t thread;
    pthread_create (&thread, NULL, terminate, context);
    TELL (zmq_recv (pull, NULL, 0, 0));
    TELL (zmq_close (pull));
    pthread_join (thread, NULL);
    say ("term: %d", term_gave);
}

static void after_it (void)
{
    void *context = new_context ();
    void *socket = new_socket (context, ZMQ_DEALER);
    zmq_pollitem_t item = {socket, 0, ZMQ_POLLIN, 0};
    zmq_msg_t msg;
    int value = 0;
    size_t length = sizeof value;
    TELL (zmq_ctx_shutdown (context));
    TELL (zmq_ctx_shutdown (context));
    TELL (zmq_bind (socket, "inproc://after"));
    TELL (zmq_connect (socket, "tcp://127.0.0.1:1"));
    TELL (zmq_send (socket, "x", 1, ZMQ_DONTWAIT));
    TELL (zmq_recv (socket, NULL, 0, ZMQ_DONTWAIT));
    TELL (zmq_poll (&item, 1, 0));
    TELL (zmq_setsockopt (socket, ZMQ_LINGER, &value, sizeof value));
    TELL (zmq_getsockopt (socket, ZMQ_LINGER, &value, &length));
    TELL_POINTER (zmq_socket (context, ZMQ_PUB));
    MUST (zmq_msg_init_size (&msg, 3));
    TELL (zmq_msg_send (&msg, socket, 0));
    say ("the message is still ours: %zu", zmq_msg_size (&msg));
    MUST (zmq_msg_close (&msg));
    TELL (zmq_close (socket));
    TELL (zmq_ctx_term (context));
}

/* What was sent before the end still arrives, as linger promises. */
static void linger (void)
{
    void *ours = new_context ();
    void *theirs = new_context ();
    void *pull = new_socket (theirs, ZMQ_PULL);
    void *push = new_socket (ours, ZMQ_PUSH);
    link_up (pull, push, "tcp://127.0.0.1:*");
    for (int i = 0; i < 100; i++)
        send_text (push, i < 99 ? "some" : "last", 0);
    MUST (zmq_close (push));
    TELL (zmq_ctx_term (ours));
    for (int i = 0; i < 99; i++)
        MUST (zmq_recv (pull, NULL, 0, 0));
    say_message (pull, "pull");
    MUST (zmq_close (pull));
    TELL (zmq_ctx_term (theirs));
}

int main (void)
{
    while_waiting (0);
    while_waiting (1);
    by_term ();
    after_it ();
    linger ();
    return 0;
}

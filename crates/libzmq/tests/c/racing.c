/* Not one of the programs that must be clean: told to, it races, to show that the sanitizer says so and
 * sees into the library. A buffer that was given away is written to while the library copies it for
 * another thread. Told to wait, it writes when that thread has said that it is done, over a socket:
 * that is in order, and the sanitizer must see so. */
#include "say.h"

#include <pthread.h>

/* Too long for the library to keep a copy. */
static char body[10000];

static void *receive (void *pull)
{
    char copy[sizeof body];
    MUST (zmq_recv (pull, copy, sizeof copy, 0));
    return NULL;
}

static void *receive_and_say (void *rep)
{
    char copy[sizeof body];
    MUST (zmq_recv (rep, copy, sizeof copy, 0));
    send_text (rep, "done", 0);
    return NULL;
}

static void send_body (void *socket)
{
    zmq_msg_t msg;
    MUST (zmq_msg_init_data (&msg, body, sizeof body, NULL, NULL));
    MUST (zmq_msg_send (&msg, socket, 0));
}

int main (int count, char **words)
{
    int waits = count == 2 && strcmp (words[1], "wait") == 0;
    void *context = new_context ();
    void *there = new_socket (context, waits ? ZMQ_REP : ZMQ_PULL);
    void *here = new_socket (context, waits ? ZMQ_REQ : ZMQ_PUSH);
    pthread_t thread;
    link_up (there, here, "inproc://racing");
    pthread_create (&thread, NULL, waits ? receive_and_say : receive, there);
    send_body (here);
    if (waits)
        say_message (here, "answer");
    /* The sanitizer needs no collision to see that nothing orders this before or after the copy. */
    memset (body, 'x', sizeof body);
    pthread_join (thread, NULL);
    MUST (zmq_close (here));
    MUST (zmq_close (there));
    MUST (zmq_ctx_term (context));
    return 0;
}

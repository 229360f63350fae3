/* Connections to inproc names that nobody is bound to yet: what was sent to them and what becomes of it
 * when the sender closes or ends its context before somebody binds. Of a sender that had no LINGER left, or
 * that disconnected, libzmq delivers what the manual calls discarded; that is not compared. */
#include "say.h"

static void *connected (void *context, int type, int linger)
{
    void *socket = new_socket (context, type);
    set (socket, ZMQ_LINGER, linger);
    MUST (zmq_connect (socket, "inproc://later"));
    return socket;
}

/* Binds, and says what comes. */
static void say_all (void *context)
{
    void *pull = new_socket (context, ZMQ_PULL);
    zmq_pollitem_t item = {pull, 0, ZMQ_POLLIN, 0};
    MUST (zmq_bind (pull, "inproc://later"));
    while (zmq_poll (&item, 1, 200) == 1)
        say_message (pull, "pull");
    say ("no more");
    MUST (zmq_close (pull));
}

/* Closed before the bind, which comes `pause` milliseconds later. */
static void closed_before (int linger, int pause)
{
    void *context = new_context ();
    void *push = connected (context, ZMQ_PUSH, linger);
    say ("LINGER %d, closed, %d ms later bound", linger, pause);
    send_text (push, "one", 0);
    send_text (push, "two", ZMQ_SNDMORE);
    send_text (push, "frames", 0);
    MUST (zmq_close (push));
    MUST (zmq_poll (NULL, 0, pause));
    say_all (context);
    TELL (zmq_ctx_term (context));
}

/* Nobody ever binds: the end of the context waits for none of them. */
static void never_bound (int linger)
{
    void *context = new_context ();
    void *push = connected (context, ZMQ_PUSH, linger);
    void *dealer = connected (context, ZMQ_DEALER, linger);
    say ("LINGER %d, never bound", linger);
    send_text (push, "to nobody", 0);
    send_text (dealer, "to nobody", 0);
    MUST (zmq_close (push));
    MUST (zmq_ctx_shutdown (context));
    MUST (zmq_close (dealer));
    TELL (zmq_ctx_term (context));
}

int main (void)
{
    closed_before (10000, 0);
    closed_before (-1, 0);
    closed_before (-1, 100);
    never_bound (0);
    never_bound (10000);
    never_bound (-1);
    return 0;
}

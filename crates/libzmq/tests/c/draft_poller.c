/* The poller: sockets and descriptors in one set, one event or several, and what is wrong. */
#define ZMQ_BUILD_DRAFT_API
#include "say.h"

static void say_event (const char *what, int given, const zmq_poller_event_t *event)
{
    if (given == -1)
        say ("%s: %s", what, name_of (zmq_errno ()));
    else
        say ("%s: %s, %s, events %d", what, event->socket ? "a socket" : "a descriptor",
             event->user_data ? (char *) event->user_data : "nothing", event->events);
}

int main (void)
{
    void *context = new_context ();
    void *poller = zmq_poller_new ();
    void *pull = new_socket (context, ZMQ_PULL);
    void *push = new_socket (context, ZMQ_PUSH);
    void *rep = new_socket (context, ZMQ_REP);
    void *req = new_socket (context, ZMQ_REQ);
    zmq_poller_event_t event, events[4];
    char *names[3] = {"pull", "pipe", "rep"};
    int ends[2];
    if (pipe (ends) != 0)
        return 1;
    link_up (pull, push, "tcp://127.0.0.1:*");
    link_up (rep, req, "inproc://draft-poller");

    TELL (zmq_poller_size (poller));
    TELL (zmq_poller_wait (poller, &event, 0));
    TELL (zmq_poller_wait (poller, &event, -1));
    TELL (zmq_poller_add (poller, pull, names[0], ZMQ_POLLIN));
    TELL (zmq_poller_add (poller, pull, "again", ZMQ_POLLIN));
    TELL (zmq_poller_add_fd (poller, ends[0], names[1], ZMQ_POLLIN));
    TELL (zmq_poller_add_fd (poller, ends[0], "again", ZMQ_POLLIN));
    TELL (zmq_poller_add (poller, rep, names[2], ZMQ_POLLIN));
    TELL (zmq_poller_size (poller));
    TELL (zmq_poller_wait (poller, &event, 0));
    TELL (zmq_poller_wait_all (poller, events, 4, 20));

    send_text (push, "one", 0);
    say_event ("one", zmq_poller_wait (poller, &event, -1), &event);
    MUST (zmq_recv (pull, NULL, 0, 0));
    TELL (zmq_send (req, "two", 3, 0));
    say_event ("two", zmq_poller_wait (poller, &event, -1), &event);
    MUST (zmq_recv (rep, NULL, 0, 0));
    send_text (rep, "back", 0);
    MUST (zmq_recv (req, NULL, 0, 0));
    if (write (ends[1], "x", 1) != 1)
        return 1;
    say_event ("three", zmq_poller_wait (poller, &event, -1), &event);

    /* All at once. Their order is not promised. */
    send_text (push, "one", 0);
    TELL (zmq_send (req, "two", 3, 0));
    int count = 0;
    while (count < 3)
        count = zmq_poller_wait_all (poller, events, 4, -1);
    for (int wanted = 0; wanted < 3; wanted++)
        for (int i = 0; i < count; i++)
            if (events[i].user_data == names[wanted])
                say_event ("of all", 0, &events[i]);
    TELL (zmq_poller_wait_all (poller, events, 2, -1));
    TELL (zmq_poller_wait_all (poller, events, 0, 0));
    TELL (zmq_poller_wait_all (poller, events, -1, 0));

    TELL (zmq_poller_modify (poller, pull, 0));
    TELL (zmq_poller_modify_fd (poller, ends[0], 0));
    say_event ("the others are not asked for", zmq_poller_wait (poller, &event, -1), &event);
    TELL (zmq_poller_remove (poller, rep));
    TELL (zmq_poller_wait (poller, &event, 0));
    TELL (zmq_poller_modify (poller, pull, ZMQ_POLLIN | ZMQ_POLLOUT));
    say_event ("pull again", zmq_poller_wait (poller, &event, -1), &event);
    TELL (zmq_poller_size (poller));

    TELL (zmq_poller_modify (poller, push, ZMQ_POLLIN));
    TELL (zmq_poller_remove (poller, push));
    TELL (zmq_poller_remove (poller, rep));
    TELL (zmq_poller_modify_fd (poller, ends[1], ZMQ_POLLIN));
    TELL (zmq_poller_remove_fd (poller, ends[1]));
    TELL (zmq_poller_remove_fd (poller, ends[0]));
    TELL (zmq_poller_add (poller, NULL, NULL, ZMQ_POLLIN));
    TELL (zmq_poller_add_fd (poller, -1, NULL, ZMQ_POLLIN));
    TELL (zmq_poller_add (poller, push, NULL, 1024));
    TELL (zmq_poller_add (NULL, push, NULL, ZMQ_POLLIN));
    TELL (zmq_poller_modify (NULL, push, ZMQ_POLLIN));
    TELL (zmq_poller_remove (NULL, push));
    TELL (zmq_poller_wait (NULL, &event, 0));
    TELL (zmq_poller_wait (poller, NULL, 0));
    TELL (zmq_poller_wait_all (NULL, events, 4, 0));
    TELL (zmq_poller_size (NULL));
    TELL (zmq_poller_destroy (NULL));
    void *nothing = NULL;
    TELL (zmq_poller_destroy (&nothing));
    TELL (zmq_poller_destroy (&poller));
    say ("set to null: %d", poller == NULL);

    close (ends[0]);
    close (ends[1]);
    MUST (zmq_close (pull));
    MUST (zmq_close (push));
    MUST (zmq_close (rep));
    MUST (zmq_close (req));
    MUST (zmq_ctx_term (context));
    return 0;
}

/* zmq_poll: sockets and descriptors together, what is ready and what is not, time, bad arguments. */
#include "say.h"

static void look (const char *what, zmq_pollitem_t *items, int count, long timeout)
{
    int ready = zmq_poll (items, count, timeout);
    if (ready == -1) {
        say ("%s: %s", what, name_of (zmq_errno ()));
        return;
    }
    char text[64] = "";
    for (int i = 0; i < count; i++)
        snprintf (text + strlen (text), sizeof text - strlen (text), " %d", items[i].revents);
    say ("%s: %d ready:%s", what, ready, text);
}

int main (void)
{
    void *context = new_context ();
    void *pull = new_socket (context, ZMQ_PULL);
    void *push = new_socket (context, ZMQ_PUSH);
    void *lonely = new_socket (context, ZMQ_PUSH);
    void *req = new_socket (context, ZMQ_REQ);
    void *rep = new_socket (context, ZMQ_REP);
    int ends[2];
    char byte;
    link_up (pull, push, "tcp://127.0.0.1:*");
    link_up (rep, req, "inproc://polling");
    if (pipe (ends) != 0)
        return 1;

    zmq_pollitem_t items[] = {
      {pull, 0, ZMQ_POLLIN, 9},
      {NULL, ends[0], ZMQ_POLLIN, 9},
      {lonely, 0, ZMQ_POLLOUT | ZMQ_POLLIN, 9},
      {rep, 0, ZMQ_POLLIN | ZMQ_POLLOUT, 9},
    };
    look ("nothing yet", items, 4, 0);
    look ("nothing in 20 ms", items, 4, 20);

    if (write (ends[1], "x", 1) != 1)
        return 1;
    look ("a descriptor", items, 4, -1);
    send_text (push, "x", 0);
    items[1].events = 0;
    look ("a socket, the descriptor not asked for", items, 4, -1);
    items[1].events = ZMQ_POLLIN;
    look ("both", items, 2, -1);
    if (read (ends[0], &byte, 1) != 1)
        return 1;
    MUST (zmq_recv (pull, NULL, 0, 0));
    look ("taken", items, 2, 0);

    zmq_pollitem_t turns[] = {
      {req, 0, ZMQ_POLLIN | ZMQ_POLLOUT, 0},
      {rep, 0, ZMQ_POLLIN | ZMQ_POLLOUT, 0},
    };
    look ("before the request", turns, 2, -1);
    send_text (req, "x", 0);
    look ("the request is there", turns + 1, 1, -1);
    look ("the requester", turns, 1, 0);
    MUST (zmq_recv (rep, NULL, 0, 0));
    look ("the replier's turn", turns, 2, -1);
    send_text (rep, "x", 0);
    look ("the reply is there", turns, 1, -1);
    look ("the replier", turns + 1, 1, 0);
    MUST (zmq_recv (req, NULL, 0, 0));
    look ("after the reply", turns, 2, -1);

    zmq_pollitem_t ending = {NULL, ends[1], ZMQ_POLLOUT, 0};
    look ("a descriptor to write to", &ending, 1, 0);
    close (ends[0]);
    look ("nobody reads it any more", &ending, 1, 0);
    TELL (zmq_poll (NULL, 0, 0));
    TELL (zmq_poll (NULL, 0, 10));
    TELL (zmq_poll (items, 0, 10));
    TELL (zmq_poll (NULL, 1, 0));
    TELL (zmq_poll (NULL, -1, 0));
    TELL (zmq_poll (items, -1, 0));

    /* More than the usual number of items. */
    void *many[40];
    zmq_pollitem_t list[40];
    for (int i = 0; i < 40; i++) {
        many[i] = new_socket (context, ZMQ_PULL);
        zmq_pollitem_t item = {many[i], 0, ZMQ_POLLIN, 0};
        list[i] = item;
    }
    char found[256];
    bind_to (many[37], "tcp://127.0.0.1:*", found);
    MUST (zmq_connect (lonely, found));
    send_text (lonely, "x", 0);
    TELL (zmq_poll (list, 40, -1));
    say ("the last but two: %d", list[37].revents);
    for (int i = 0; i < 40; i++)
        MUST (zmq_close (many[i]));

    close (ends[1]);
    set (lonely, ZMQ_LINGER, 0);
    MUST (zmq_close (pull));
    MUST (zmq_close (push));
    MUST (zmq_close (lonely));
    MUST (zmq_close (req));
    MUST (zmq_close (rep));
    MUST (zmq_ctx_term (context));
    return 0;
}

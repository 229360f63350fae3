/* The sockets for several threads: whom a message is for, groups, and that a message is one frame. */
#define ZMQ_BUILD_DRAFT_API
#include "say.h"

static void client_server (void *context, const char *endpoint)
{
    void *server = new_socket (context, ZMQ_SERVER);
    void *client = new_socket (context, ZMQ_CLIENT);
    zmq_msg_t msg;
    link_up (server, client, endpoint);
    say ("client and server, over %.6s", endpoint);
    TELL (zmq_send (client, "hello", 5, 0));
    MUST (zmq_msg_init (&msg));
    TELL (zmq_msg_recv (&msg, server, 0));
    uint32_t id = zmq_msg_routing_id (&msg);
    say ("it has a routing id: %d", id != 0);
    MUST (zmq_msg_close (&msg));

    MUST (zmq_msg_init_buffer (&msg, "to you", 6));
    TELL (zmq_msg_set_routing_id (&msg, id));
    say ("set: %d", zmq_msg_routing_id (&msg) == id);
    TELL (zmq_msg_send (&msg, server, 0));
    say_message (client, "client");

    TELL (zmq_msg_set_routing_id (&msg, 0));
    TELL (zmq_msg_set_routing_id (&msg, id + 1));
    TELL (zmq_msg_send (&msg, server, 0));
    MUST (zmq_msg_close (&msg));
    TELL (zmq_send (server, "to nobody", 9, 0));
    TELL (zmq_send (client, "part", 4, ZMQ_SNDMORE));
    say ("safe for threads: %d %d", number_of (client, ZMQ_THREAD_SAFE),
         number_of (server, ZMQ_THREAD_SAFE));
    MUST (zmq_close (client));
    MUST (zmq_close (server));
}

static void send_to_group (void *radio, const char *group, const char *text)
{
    zmq_msg_t msg;
    MUST (zmq_msg_init_buffer (&msg, text, strlen (text)));
    MUST (zmq_msg_set_group (&msg, group));
    MUST (zmq_msg_send (&msg, radio, 0));
}

static void say_of_group (void *dish)
{
    zmq_msg_t msg;
    MUST (zmq_msg_init (&msg));
    MUST (zmq_msg_recv (&msg, dish, 0));
    say ("dish: \"%.*s\" of %s", (int) zmq_msg_size (&msg), (char *) zmq_msg_data (&msg),
         zmq_msg_group (&msg));
    MUST (zmq_msg_close (&msg));
}

static void radio_dish (void *context, const char *endpoint)
{
    void *radio = new_socket (context, ZMQ_RADIO);
    void *dish = new_socket (context, ZMQ_DISH);
    char long_name[300];
    zmq_msg_t msg;
    say ("radio and dish, over %.6s", endpoint);
    TELL (zmq_join (dish, "news"));
    TELL (zmq_join (dish, "news"));
    TELL (zmq_leave (dish, "sport"));
    link_up (radio, dish, endpoint);
    /* Sent until the group is known at the other end. */
    zmq_pollitem_t item = {dish, 0, ZMQ_POLLIN, 0};
    do
        send_to_group (radio, "news", "first");
    while (zmq_poll (&item, 1, 10) == 0);
    say_of_group (dish);
    send_to_group (radio, "sport", "not for us");
    send_to_group (radio, "news", "last");
    for (int last = 0; !last;) {
        MUST (zmq_msg_init (&msg));
        MUST (zmq_msg_recv (&msg, dish, 0));
        last = zmq_msg_size (&msg) == 4;
        if (strcmp (zmq_msg_group (&msg), "news") != 0)
            say ("of %s", zmq_msg_group (&msg));
        MUST (zmq_msg_close (&msg));
    }
    TELL (zmq_leave (dish, "news"));
    TELL (zmq_leave (dish, "news"));
    memset (long_name, 'g', sizeof long_name);
    long_name[299] = 0;
    errno = 0;
    tell ("a long group", zmq_join (dish, long_name));
    long_name[255] = 0;
    errno = 0;
    tell ("the longest", zmq_join (dish, long_name));
    TELL (zmq_join (radio, "news"));
    TELL (zmq_join (NULL, "news"));
    TELL (zmq_send (dish, "x", 1, 0));
    TELL (zmq_recv (radio, NULL, 0, 0));
    MUST (zmq_msg_init (&msg));
    say ("no group: \"%s\"", zmq_msg_group (&msg));
    long_name[255] = 'g';
    errno = 0;
    tell ("a long group of a message", zmq_msg_set_group (&msg, long_name));
    MUST (zmq_msg_close (&msg));
    MUST (zmq_close (radio));
    MUST (zmq_close (dish));
}

static void scatter_gather (void *context)
{
    void *scatter = new_socket (context, ZMQ_SCATTER);
    void *gather = new_socket (context, ZMQ_GATHER);
    say ("scatter and gather");
    TELL (zmq_send (scatter, "x", 1, ZMQ_DONTWAIT));
    link_up (gather, scatter, "tcp://127.0.0.1:*");
    send_text (scatter, "one", 0);
    TELL (zmq_send (scatter, "part", 4, ZMQ_SNDMORE));
    say_message (gather, "gather");
    TELL (zmq_send (gather, "x", 1, 0));
    MUST (zmq_close (scatter));
    MUST (zmq_close (gather));
}

static void channels (void *context)
{
    void *one = new_socket (context, ZMQ_CHANNEL);
    void *two = new_socket (context, ZMQ_CHANNEL);
    say ("channels");
    link_up (one, two, "inproc://channels");
    send_text (one, "there", 0);
    say_message (two, "two");
    send_text (two, "and back", 0);
    say_message (one, "one");
    TELL (zmq_send (one, "part", 4, ZMQ_SNDMORE));
    MUST (zmq_close (one));
    MUST (zmq_close (two));
}

/* A poller has a descriptor if there is such a socket in it. */
static void descriptors (void *context)
{
    void *server = new_socket (context, ZMQ_SERVER);
    void *client = new_socket (context, ZMQ_CLIENT);
    void *pull = new_socket (context, ZMQ_PULL);
    void *poller = zmq_poller_new ();
    zmq_poller_event_t event;
    zmq_fd_t fd;
    say ("descriptors");
    link_up (server, client, "inproc://descriptors");
    TELL (zmq_poller_add (poller, pull, NULL, ZMQ_POLLIN));
    TELL (zmq_poller_fd (poller, &fd));
    TELL (zmq_poller_fd (NULL, &fd));
    MUST (zmq_poller_remove (poller, pull));
    TELL (zmq_poller_add (poller, server, NULL, ZMQ_POLLIN));
    TELL (zmq_poller_fd (poller, &fd));
    TELL (zmq_send (client, "x", 1, 0));
    TELL (zmq_poller_wait (poller, &event, -1));
    say ("events %d", event.events);
    MUST (zmq_recv (server, NULL, 0, 0));
    MUST (zmq_poller_destroy (&poller));
    MUST (zmq_close (server));
    MUST (zmq_close (client));
    MUST (zmq_close (pull));
}

static void peers (void *context)
{
    void *one = new_socket (context, ZMQ_PEER);
    void *two = new_socket (context, ZMQ_PEER);
    void *pair = new_socket (context, ZMQ_PAIR);
    char found[256];
    zmq_msg_t msg;
    say ("peers");
    bind_to (one, "tcp://127.0.0.1:*", found);
    uint32_t id = zmq_connect_peer (two, found);
    say ("a peer: %d", id != 0);
    MUST (zmq_msg_init_buffer (&msg, "hello", 5));
    TELL (zmq_msg_set_routing_id (&msg, id));
    TELL (zmq_msg_send (&msg, two, 0));
    MUST (zmq_msg_init (&msg));
    TELL (zmq_msg_recv (&msg, one, 0));
    say ("from a peer: %d", zmq_msg_routing_id (&msg) != 0);
    /* It goes back to where it came from. */
    TELL (zmq_msg_send (&msg, one, 0));
    say_message (two, "two");
    errno = 0;
    say ("a pair has none: %d, %s", (int) zmq_connect_peer (pair, found), name_of (zmq_errno ()));
    TELL (zmq_disconnect_peer (one, 12345));
    TELL (zmq_disconnect_peer (NULL, 12345));
    TELL (zmq_disconnect_peer (two, id));
    MUST (zmq_close (pair));
    MUST (zmq_close (one));
    MUST (zmq_close (two));
}

int main (void)
{
    void *context = new_context ();
    client_server (context, "tcp://127.0.0.1:*");
    client_server (context, "inproc://client-server");
    radio_dish (context, "tcp://127.0.0.1:*");
    radio_dish (context, "inproc://radio-dish");
    scatter_gather (context);
    channels (context);
    descriptors (context);
    peers (context);
    MUST (zmq_ctx_term (context));
    return 0;
}

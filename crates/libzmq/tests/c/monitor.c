/* What a monitor tells of a connection from its beginning to its end, on both sides. */
#include "say.h"

static const char *event_name (int event)
{
    switch (event) {
#define NAME(e) \
    case ZMQ_EVENT_##e: \
        return #e;
        NAME (CONNECTED)
        NAME (CONNECT_DELAYED)
        NAME (CONNECT_RETRIED)
        NAME (LISTENING)
        NAME (BIND_FAILED)
        NAME (ACCEPTED)
        NAME (ACCEPT_FAILED)
        NAME (CLOSED)
        NAME (CLOSE_FAILED)
        NAME (DISCONNECTED)
        NAME (MONITOR_STOPPED)
        NAME (HANDSHAKE_FAILED_NO_DETAIL)
        NAME (HANDSHAKE_SUCCEEDED)
        NAME (HANDSHAKE_FAILED_PROTOCOL)
        NAME (HANDSHAKE_FAILED_AUTH)
#undef NAME
        default:
            return "?";
    }
}

static void *monitor (void *context, void *socket, const char *endpoint, int events)
{
    void *pair = new_socket (context, ZMQ_PAIR);
    MUST (zmq_socket_monitor (socket, endpoint, events));
    MUST (zmq_connect (pair, endpoint));
    return pair;
}

/* Says one event, and gives its number. */
static int next (void *pair, const char *who, const char *endpoint)
{
    unsigned char head[6];
    char where[256] = "";
    uint16_t event;
    int length = zmq_recv (pair, head, sizeof head, 0);
    must (length, "zmq_recv", __LINE__);
    memcpy (&event, head, 2);
    int more = number_of (pair, ZMQ_RCVMORE);
    MUST (zmq_recv (pair, where, sizeof where - 1, 0));
    say ("%s: %d bytes, more %d: %s, at the endpoint: %d", who, length, more, event_name (event),
         strcmp (where, endpoint) == 0);
    return event;
}

static void until (void *pair, const char *who, const char *endpoint, int last)
{
    while (next (pair, who, endpoint) != last) {
    }
}

static void a_life (void *context, const char *endpoint, const char *names[2])
{
    void *server = new_socket (context, ZMQ_REP);
    void *client = new_socket (context, ZMQ_REQ);
    char found[256];
    say ("over %.6s", endpoint);
    void *of_server = monitor (context, server, names[0], ZMQ_EVENT_ALL);
    /* Ours tells CONNECT_DELAYED of ipc as well, which libzmq connects without delay. */
    int ipc = strncmp (endpoint, "ipc", 3) == 0;
    void *of_client = monitor (context, client, names[1],
                               ipc ? ZMQ_EVENT_ALL & ~ZMQ_EVENT_CONNECT_DELAYED : ZMQ_EVENT_ALL);
    bind_to (server, endpoint, found);
    until (of_server, "server", found, ZMQ_EVENT_LISTENING);
    MUST (zmq_connect (client, found));
    until (of_server, "server", found, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    until (of_client, "client", found, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    send_text (client, "x", 0);
    say_message (server, "server");
    MUST (zmq_close (client));
    until (of_server, "server", found, ZMQ_EVENT_DISCONNECTED);
    until (of_client, "client", "", ZMQ_EVENT_MONITOR_STOPPED);
    MUST (zmq_unbind (server, found));
    until (of_server, "server", found, ZMQ_EVENT_CLOSED);
    MUST (zmq_socket_monitor (server, NULL, 0));
    until (of_server, "server", "", ZMQ_EVENT_MONITOR_STOPPED);
    MUST (zmq_close (server));
    MUST (zmq_close (of_server));
    MUST (zmq_close (of_client));
}

static void only_some (void *context)
{
    void *server = new_socket (context, ZMQ_REP);
    void *client = new_socket (context, ZMQ_REQ);
    char found[256];
    bind_to (server, "tcp://127.0.0.1:*", found);
    void *of_client =
      monitor (context, client, "inproc://some", ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    MUST (zmq_connect (client, found));
    until (of_client, "masked", found, ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    MUST (zmq_close (client));
    MUST (zmq_close (server));
    TELL (zmq_recv (of_client, NULL, 0, ZMQ_DONTWAIT));
    MUST (zmq_close (of_client));
}

static void nobody_there (void *context)
{
    void *client = new_socket (context, ZMQ_DEALER);
    void *server = new_socket (context, ZMQ_DEALER);
    char found[256];
    set (client, ZMQ_LINGER, 0);
    set (client, ZMQ_RECONNECT_IVL, 10);
    bind_to (server, "tcp://127.0.0.1:*", found);
    MUST (zmq_unbind (server, found));
    MUST (zmq_close (server));
    void *of_client = monitor (context, client, "inproc://nobody", ZMQ_EVENT_CONNECT_RETRIED);
    MUST (zmq_connect (client, found));
    next (of_client, "refused", found);
    next (of_client, "refused again", found);
    MUST (zmq_close (client));
    MUST (zmq_close (of_client));
}

static void wrong_calls (void *context)
{
    void *socket = new_socket (context, ZMQ_REP);
    TELL (zmq_socket_monitor (NULL, "inproc://wrong", ZMQ_EVENT_ALL));
    TELL (zmq_socket_monitor (context, "inproc://wrong", ZMQ_EVENT_ALL));
    TELL (zmq_socket_monitor (socket, "tcp://127.0.0.1:*", ZMQ_EVENT_ALL));
    TELL (zmq_socket_monitor (socket, "nonsense", ZMQ_EVENT_ALL));
    TELL (zmq_socket_monitor (socket, "inproc://first", ZMQ_EVENT_ALL));
    MUST (zmq_close (socket));
}

int main (void)
{
    void *context = new_context ();
    /* The names of monitors may be in use for a while after their sockets are closed. */
    a_life (context, "tcp://127.0.0.1:*",
            (const char *[]){"inproc://server 1", "inproc://client 1"});
    a_life (context, "ipc://*", (const char *[]){"inproc://server 2", "inproc://client 2"});
    only_some (context);
    nobody_there (context);
    wrong_calls (context);
    MUST (zmq_ctx_term (context));
    return 0;
}

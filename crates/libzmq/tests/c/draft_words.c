/* The other functions of the draft interface: options of contexts, messages, the state of a peer,
 * events of the second version, waiting with a signal mask. */
#define ZMQ_BUILD_DRAFT_API
#include "say.h"

#include <signal.h>

static void contexts (void)
{
    void *context = new_context ();
    char text[32] = "";
    int value = 5;
    size_t length = sizeof value;
    TELL (zmq_ctx_set_ext (context, ZMQ_MAX_SOCKETS, &value, sizeof value));
    value = 0;
    TELL (zmq_ctx_get_ext (context, ZMQ_MAX_SOCKETS, &value, &length));
    say ("%d in %zu bytes", value, length);
    TELL (zmq_ctx_set_ext (context, ZMQ_THREAD_NAME_PREFIX, "prefix", 6));
    length = sizeof text;
    TELL (zmq_ctx_get_ext (context, ZMQ_THREAD_NAME_PREFIX, text, &length));
    say ("%.6s", text);
    TELL (zmq_ctx_set_ext (context, 12345, &value, sizeof value));
    TELL (zmq_ctx_set_ext (context, ZMQ_MAX_SOCKETS, &value, 1));
    TELL (zmq_ctx_set_ext (NULL, ZMQ_MAX_SOCKETS, &value, sizeof value));
    length = 1;
    TELL (zmq_ctx_get_ext (context, ZMQ_MAX_SOCKETS, &value, &length));
    TELL (zmq_ctx_get (context, ZMQ_ZERO_COPY_RECV));
    TELL (zmq_ctx_set (context, ZMQ_ZERO_COPY_RECV, 0));
    TELL (zmq_ctx_get (context, ZMQ_ZERO_COPY_RECV));
    MUST (zmq_ctx_term (context));
}

static void messages (void)
{
    zmq_msg_t msg;
    char bytes[] = "a copy";
    TELL (zmq_msg_init_buffer (&msg, bytes, 6));
    bytes[0] = 'x';
    say ("%.6s", (char *) zmq_msg_data (&msg));
    say ("routing id %u", (unsigned) zmq_msg_routing_id (&msg));
    MUST (zmq_msg_close (&msg));
    TELL (zmq_msg_init_buffer (&msg, NULL, 0));
    say ("%zu", zmq_msg_size (&msg));
    MUST (zmq_msg_close (&msg));
}

static void states (void *context)
{
    void *router = new_socket (context, ZMQ_ROUTER);
    void *dealer = new_socket (context, ZMQ_DEALER);
    zmq_msg_t msg;
    MUST (zmq_setsockopt (dealer, ZMQ_ROUTING_ID, "dealer", 6));
    link_up (router, dealer, "tcp://127.0.0.1:*");
    send_text (dealer, "here", 0);
    MUST (zmq_msg_init (&msg));
    MUST (zmq_msg_recv (&msg, router, 0));
    MUST (zmq_msg_recv (&msg, router, 0));
    say ("a %s", zmq_msg_gets (&msg, ZMQ_MSG_PROPERTY_SOCKET_TYPE));
    say ("from %s", zmq_msg_gets (&msg, ZMQ_MSG_PROPERTY_PEER_ADDRESS));
    MUST (zmq_msg_close (&msg));
    TELL (zmq_socket_get_peer_state (router, "dealer", 6));
    TELL (zmq_socket_get_peer_state (router, "nobody", 6));
    TELL (zmq_socket_get_peer_state (dealer, "dealer", 6));
    TELL (zmq_socket_get_peer_state (NULL, "dealer", 6));
    MUST (zmq_close (router));
    MUST (zmq_close (dealer));
}

/* Five frames: event, number of values, the values, and the two endpoints. */
static void say_event (void *monitor)
{
    uint64_t frame[3] = {0, 0, 0};
    MUST (zmq_recv (monitor, &frame[0], 8, 0));
    MUST (zmq_recv (monitor, &frame[1], 8, 0));
    say ("event %llx, %llu values", (unsigned long long) frame[0], (unsigned long long) frame[1]);
    for (uint64_t i = 0; i < frame[1]; i++)
        say ("%d bytes", zmq_recv (monitor, &frame[2], 8, 0));
    char where[2][256] = {"", ""};
    MUST (zmq_recv (monitor, where[0], 255, 0));
    MUST (zmq_recv (monitor, where[1], 255, 0));
    say ("to %.16s, more %d", where[1], number_of (monitor, ZMQ_RCVMORE));
}

static void events (void *context)
{
    void *pull = new_socket (context, ZMQ_PULL);
    void *push = new_socket (context, ZMQ_PUSH);
    void *monitor = new_socket (context, ZMQ_PULL);
    TELL (zmq_socket_monitor_versioned (push, "inproc://events", ZMQ_EVENT_HANDSHAKE_SUCCEEDED
                                          | ZMQ_EVENT_PIPES_STATS, 2, ZMQ_PUSH));
    MUST (zmq_connect (monitor, "inproc://events"));
    link_up (pull, push, "tcp://127.0.0.1:*");
    say_event (monitor);
    TELL (zmq_socket_monitor_pipes_stats (push));
    /* libzmq needs calls on the socket, in which it hears what its pipes have to say. */
    zmq_pollitem_t item = {monitor, 0, ZMQ_POLLIN, 0};
    while (zmq_poll (&item, 1, 10) == 0)
        number_of (push, ZMQ_EVENTS);
    say_event (monitor);
    TELL (zmq_socket_monitor_pipes_stats (pull));
    TELL (zmq_socket_monitor_pipes_stats (NULL));
    TELL (zmq_socket_monitor_versioned (pull, "inproc://more", ZMQ_EVENT_ALL_V2, 1, ZMQ_PAIR));
    TELL (zmq_socket_monitor_versioned (pull, "inproc://more", ZMQ_EVENT_ALL, 1, ZMQ_REQ));
    MUST (zmq_close (push));
    MUST (zmq_close (pull));
    MUST (zmq_close (monitor));
}

static volatile sig_atomic_t signals;

static void count_signal (int number)
{
    (void) number;
    signals++;
}

/* A signal that is blocked, and let in only while waiting, is not missed. */
static void masks (void *context)
{
    void *pull = new_socket (context, ZMQ_PULL);
    zmq_pollitem_t item = {pull, 0, ZMQ_POLLIN, 0};
    struct sigaction action;
    sigset_t blocked, before;
    memset (&action, 0, sizeof action);
    action.sa_handler = count_signal;
    sigaction (SIGUSR1, &action, NULL);
    sigemptyset (&blocked);
    sigaddset (&blocked, SIGUSR1);
    sigprocmask (SIG_BLOCK, &blocked, &before);
    raise (SIGUSR1);
    say ("not yet: %d", (int) signals);
    TELL (zmq_ppoll (&item, 1, 0, &blocked));
    say ("still not: %d", (int) signals);
    TELL (zmq_ppoll (&item, 1, 10000, &before));
    say ("now: %d", (int) signals);
    TELL (zmq_ppoll (&item, 1, 0, NULL));
    TELL (zmq_ppoll (NULL, -1, 0, NULL));
    MUST (zmq_close (pull));
}

int main (void)
{
    contexts ();
    messages ();
    void *context = new_context ();
    states (context);
    events (context);
    masks (context);
    MUST (zmq_ctx_term (context));
    return 0;
}

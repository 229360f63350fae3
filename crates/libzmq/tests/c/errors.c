/* Wrong arguments and wrong states: each call fails as the manual says, and harms nothing. */
#include "say.h"

static void contexts (void)
{
    void *context = new_context ();
    TELL (zmq_ctx_term (NULL));
    TELL (zmq_ctx_shutdown (NULL));
    TELL (zmq_ctx_destroy (NULL));
    TELL (zmq_term (NULL));
    TELL (zmq_ctx_set (NULL, ZMQ_IO_THREADS, 1));
    TELL (zmq_ctx_get (NULL, ZMQ_IO_THREADS));
    TELL (zmq_ctx_set (context, 12345, 1));
    TELL (zmq_ctx_get (context, 12345));
    TELL (zmq_ctx_set (context, ZMQ_IO_THREADS, -1));
    TELL (zmq_ctx_set (context, ZMQ_MAX_SOCKETS, 0));
    TELL (zmq_ctx_set (context, ZMQ_MAX_SOCKETS, -1));
    TELL (zmq_ctx_set (context, ZMQ_IPV6, 2));
    TELL (zmq_ctx_set (context, ZMQ_MAX_MSGSZ, -1));
    TELL (zmq_ctx_get (context, ZMQ_IO_THREADS));
    TELL (zmq_ctx_get (context, ZMQ_MAX_SOCKETS));
    TELL (zmq_ctx_get (context, ZMQ_MAX_MSGSZ));
    TELL (zmq_ctx_get (context, ZMQ_MSG_T_SIZE));
    TELL (zmq_ctx_get (context, ZMQ_IPV6));
    TELL (zmq_ctx_get (context, ZMQ_BLOCKY));
    TELL (zmq_ctx_set (context, ZMQ_IO_THREADS, 2));
    TELL (zmq_ctx_get (context, ZMQ_IO_THREADS));
    TELL (zmq_ctx_set (context, ZMQ_MAX_SOCKETS, 2));
    TELL_POINTER (zmq_socket (NULL, ZMQ_PUB));
    TELL_POINTER (zmq_socket (context, -1));
    TELL_POINTER (zmq_socket (context, 12345));
    void *one = new_socket (context, ZMQ_PUB);
    void *two = new_socket (context, ZMQ_PUB);
    TELL_POINTER (zmq_socket (context, ZMQ_PUB));
    MUST (zmq_close (one));
    MUST (zmq_close (two));
    TELL (zmq_ctx_term (context));
    TELL_POINTER (zmq_init (-1));
}

static void no_socket (void)
{
    zmq_msg_t msg;
    int value = 0;
    size_t length = sizeof value;
    MUST (zmq_msg_init (&msg));
    TELL (zmq_close (NULL));
    TELL (zmq_bind (NULL, "inproc://x"));
    TELL (zmq_connect (NULL, "inproc://x"));
    TELL (zmq_unbind (NULL, "inproc://x"));
    TELL (zmq_disconnect (NULL, "inproc://x"));
    TELL (zmq_setsockopt (NULL, ZMQ_LINGER, &value, sizeof value));
    TELL (zmq_getsockopt (NULL, ZMQ_LINGER, &value, &length));
    TELL (zmq_send (NULL, "x", 1, 0));
    TELL (zmq_send_const (NULL, "x", 1, 0));
    TELL (zmq_recv (NULL, NULL, 0, 0));
    TELL (zmq_msg_send (&msg, NULL, 0));
    TELL (zmq_msg_recv (&msg, NULL, 0));
    TELL (zmq_sendmsg (NULL, &msg, 0));
    TELL (zmq_recvmsg (NULL, &msg, 0));
    TELL (zmq_proxy (NULL, NULL, NULL));
    TELL (zmq_proxy_steerable (NULL, NULL, NULL, NULL));
    MUST (zmq_msg_close (&msg));
}

static void messages (void)
{
    zmq_msg_t msg;
    MUST (zmq_msg_init (&msg));
    TELL (zmq_msg_get (&msg, 12345));
    TELL (zmq_msg_get (&msg, ZMQ_MORE));
    TELL (zmq_msg_get (&msg, ZMQ_SHARED));
    TELL (zmq_msg_get (&msg, ZMQ_SRCFD));
    TELL (zmq_msg_set (&msg, 12345, 1));
    TELL (zmq_msg_set (&msg, ZMQ_MORE, 1));
    TELL_POINTER (zmq_msg_gets (&msg, "Socket-Type"));
    TELL (zmq_msg_size (&msg));
    TELL (zmq_msg_close (&msg));
    /* The manual does not say it of a message that is closed, but the library tells. */
    TELL (zmq_msg_close (&msg));
    TELL (zmq_msg_init_size (&msg, 40));
    TELL (zmq_msg_size (&msg));
    TELL (zmq_msg_close (&msg));
}

static void endpoints (void)
{
    void *context = new_context ();
    void *rep = new_socket (context, ZMQ_REP);
    void *other = new_socket (context, ZMQ_REP);
    char found[256], text[300];
    bind_to (rep, "tcp://127.0.0.1:*", found);
    TELL (zmq_bind (other, found));
    TELL (zmq_bind (rep, "inproc://taken"));
    TELL (zmq_bind (other, "inproc://taken"));
    TELL (zmq_bind (rep, ""));
    TELL (zmq_bind (rep, "nonsense"));
    TELL (zmq_bind (rep, "nonsense://x"));
    TELL (zmq_bind (rep, "tcp://"));
    TELL (zmq_bind (rep, "tcp://127.0.0.1"));
    TELL (zmq_bind (rep, "tcp://127.0.0.1:nonsense"));
    TELL (zmq_bind (rep, "tcp://no-such-interface:*"));
    TELL (zmq_bind (rep, "tcp://192.0.2.1:*"));
    TELL (zmq_bind (rep, "ipc://"));
    TELL (zmq_bind (rep, "ipc:///no/such/folder/socket"));
    memset (text, 'x', sizeof text);
    memcpy (text, "ipc:///tmp/", 11);
    text[299] = 0;
    errno = 0;
    tell ("a long name", zmq_bind (rep, text));
    TELL (zmq_connect (rep, ""));
    TELL (zmq_connect (rep, "nonsense"));
    TELL (zmq_connect (rep, "nonsense://x"));
    TELL (zmq_connect (rep, "tcp://127.0.0.1"));
    TELL (zmq_connect (rep, "tcp://127.0.0.1:*"));
    TELL (zmq_connect (rep, "tcp://*:5555"));
    TELL (zmq_unbind (rep, "tcp://127.0.0.1:1"));
    TELL (zmq_unbind (rep, "inproc://not-there"));
    TELL (zmq_unbind (rep, ""));
    TELL (zmq_disconnect (rep, "tcp://127.0.0.1:1"));
    TELL (zmq_disconnect (rep, "inproc://not-there"));
    TELL (zmq_unbind (rep, found));
    TELL (zmq_unbind (rep, found));
    MUST (zmq_close (rep));
    MUST (zmq_close (other));
    MUST (zmq_ctx_term (context));
}

static void directions (void)
{
    void *context = new_context ();
    void *pull = new_socket (context, ZMQ_PULL);
    void *push = new_socket (context, ZMQ_PUSH);
    void *pub = new_socket (context, ZMQ_PUB);
    void *sub = new_socket (context, ZMQ_SUB);
    void *req = new_socket (context, ZMQ_REQ);
    void *rep = new_socket (context, ZMQ_REP);
    void *router = new_socket (context, ZMQ_ROUTER);
    void *dealer = new_socket (context, ZMQ_DEALER);
    void *pair = new_socket (context, ZMQ_PAIR);
    TELL (zmq_send (pull, "x", 1, 0));
    TELL (zmq_recv (push, NULL, 0, 0));
    TELL (zmq_recv (pub, NULL, 0, 0));
    TELL (zmq_send (sub, "x", 1, 0));
    TELL (zmq_recv (req, NULL, 0, 0));
    TELL (zmq_send (rep, "x", 1, 0));
    TELL (zmq_send (pub, "x", 1, 0));
    TELL (zmq_send (push, "x", 1, ZMQ_DONTWAIT));
    TELL (zmq_send (req, "x", 1, ZMQ_DONTWAIT));
    TELL (zmq_send (dealer, "x", 1, ZMQ_DONTWAIT));
    TELL (zmq_send (pair, "x", 1, ZMQ_DONTWAIT));
    TELL (zmq_recv (pull, NULL, 0, ZMQ_DONTWAIT));
    TELL (zmq_recv (sub, NULL, 0, ZMQ_DONTWAIT));
    TELL (zmq_recv (rep, NULL, 0, ZMQ_DONTWAIT));
    TELL (zmq_recv (router, NULL, 0, ZMQ_DONTWAIT));
    TELL (zmq_recv (dealer, NULL, 0, ZMQ_DONTWAIT));
    TELL (zmq_recv (pair, NULL, 0, ZMQ_DONTWAIT));
    TELL (zmq_send (router, "nobody", 6, ZMQ_SNDMORE));
    TELL (zmq_send (router, "x", 1, 0));
    set (pull, ZMQ_RCVTIMEO, 20);
    set (push, ZMQ_SNDTIMEO, 20);
    TELL (zmq_recv (pull, NULL, 0, 0));
    TELL (zmq_send (push, "x", 1, 0));
    TELL (zmq_setsockopt (pull, ZMQ_SUBSCRIBE, "", 0));
    TELL (zmq_setsockopt (sub, ZMQ_UNSUBSCRIBE, "never", 5));
    void *all[] = {pull, push, pub, sub, req, rep, router, dealer, pair};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        MUST (zmq_close (all[i]));
    MUST (zmq_ctx_term (context));
}

static void options (void)
{
    void *context = new_context ();
    void *dealer = new_socket (context, ZMQ_DEALER);
    char bytes[300] = "";
    int value = 0;
    size_t length;
    TELL (zmq_setsockopt (dealer, 12345, &value, sizeof value));
    TELL (zmq_setsockopt (dealer, -1, &value, sizeof value));
    TELL (zmq_setsockopt (dealer, ZMQ_TYPE, &value, sizeof value));
    TELL (zmq_setsockopt (dealer, ZMQ_LINGER, &value, 1));
    TELL (zmq_setsockopt (dealer, ZMQ_LINGER, &value, 8));
    TELL (zmq_setsockopt (dealer, ZMQ_LINGER, NULL, 0));
    TELL (zmq_setsockopt (dealer, ZMQ_ROUTING_ID, bytes, 0));
    TELL (zmq_setsockopt (dealer, ZMQ_ROUTING_ID, bytes, 256));
    TELL (zmq_setsockopt (dealer, ZMQ_MAXMSGSIZE, &value, sizeof value));
    TELL (zmq_setsockopt (dealer, ZMQ_SUBSCRIBE, "", 0));
    TELL (zmq_setsockopt (dealer, ZMQ_ROUTER_MANDATORY, &value, sizeof value));
    length = 2;
    TELL (zmq_getsockopt (dealer, ZMQ_LINGER, &value, &length));
    length = sizeof bytes;
    TELL (zmq_getsockopt (dealer, 12345, bytes, &length));
    length = sizeof value;
    TELL (zmq_getsockopt (dealer, ZMQ_SUBSCRIBE, &value, &length));
    length = sizeof bytes;
    TELL (zmq_getsockopt (dealer, ZMQ_LAST_ENDPOINT, bytes, &length));
    say ("length %zu", length);
    MUST (zmq_setsockopt (dealer, ZMQ_ROUTING_ID, "routing id", 10));
    length = 9;
    TELL (zmq_getsockopt (dealer, ZMQ_ROUTING_ID, bytes, &length));
    length = 10;
    TELL (zmq_getsockopt (dealer, ZMQ_ROUTING_ID, bytes, &length));
    say ("length %zu: %.10s", length, bytes);
    MUST (zmq_close (dealer));
    MUST (zmq_ctx_term (context));
}

int main (void)
{
    contexts ();
    no_socket ();
    messages ();
    endpoints ();
    directions ();
    options ();
    return 0;
}

/* Publishing and subscribing: prefixes, what an XPUB hears, cancelling. */
#include "say.h"

static void heard (void *xpub)
{
    unsigned char event[64];
    int length = zmq_recv (xpub, event, sizeof event, 0);
    must (length, "zmq_recv", __LINE__);
    say ("xpub: %d \"%.*s\"", event[0], length - 1, (char *) event + 1);
}

static void over (void *context, const char *endpoint)
{
    void *xpub = new_socket (context, ZMQ_XPUB);
    void *sub = new_socket (context, ZMQ_SUB);
    void *xsub = new_socket (context, ZMQ_XSUB);
    char found[256];
    say ("over %.6s", endpoint);
    bind_to (xpub, endpoint, found);
    MUST (zmq_connect (sub, found));

    TELL (zmq_setsockopt (sub, ZMQ_SUBSCRIBE, "ab", 2));
    heard (xpub);
    TELL (zmq_setsockopt (sub, ZMQ_SUBSCRIBE, "ab", 2));
    TELL (zmq_setsockopt (sub, ZMQ_SUBSCRIBE, "x", 1));
    heard (xpub);
    send_text (xpub, "a", 0);
    send_text (xpub, "ab", 0);
    send_text (xpub, "b", 0);
    send_text (xpub, "abc", ZMQ_SNDMORE);
    send_text (xpub, "second frame", 0);
    send_text (xpub, "x", 0);
    say_message (sub, "sub");
    say_message (sub, "sub");
    say_message (sub, "sub");

    /* Subscribed twice, it is to be cancelled twice. */
    TELL (zmq_setsockopt (sub, ZMQ_UNSUBSCRIBE, "ab", 2));
    TELL (zmq_setsockopt (sub, ZMQ_UNSUBSCRIBE, "x", 1));
    heard (xpub);
    send_text (xpub, "x", 0);
    send_text (xpub, "ab again", 0);
    say_message (sub, "sub");
    TELL (zmq_setsockopt (sub, ZMQ_UNSUBSCRIBE, "ab", 2));
    heard (xpub);
    send_text (xpub, "ab", 0);
    TELL (zmq_recv (sub, NULL, 0, ZMQ_DONTWAIT));
    MUST (zmq_close (sub));

    /* An XSUB sends its subscriptions as messages, and others besides. */
    MUST (zmq_connect (xsub, found));
    TELL (zmq_send (xsub, "\1topic", 6, 0));
    heard (xpub);
    send_text (xpub, "topic and more", 0);
    say_message (xsub, "xsub");
    TELL (zmq_send (xsub, "\0topic", 6, 0));
    heard (xpub);
    TELL (zmq_send (xsub, "upstream", 8, 0));
    say_message (xpub, "xpub");
    TELL (zmq_send (xsub, "\1", 1, 0));
    heard (xpub);
    MUST (zmq_close (xsub));
    /* Its end cancels what is left. */
    heard (xpub);
    MUST (zmq_close (xpub));
}

int main (void)
{
    void *context = new_context ();
    over (context, "tcp://127.0.0.1:*");
    over (context, "inproc://subscriptions");
    MUST (zmq_ctx_term (context));
    return 0;
}

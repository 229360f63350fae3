/* Messages frame by frame: what the flags and properties say, short buffers, envelopes. */
#include "say.h"

static void say_parts (void *socket)
{
    int more;
    do {
        zmq_msg_t part;
        MUST (zmq_msg_init (&part));
        MUST (zmq_msg_recv (&part, socket, 0));
        more = zmq_msg_more (&part);
        say ("%zu bytes, more %d, get %d, rcvmore %d", zmq_msg_size (&part), more,
             zmq_msg_get (&part, ZMQ_MORE), number_of (socket, ZMQ_RCVMORE));
        MUST (zmq_msg_close (&part));
    } while (more);
}

static void over (void *context, const char *endpoint)
{
    void *dealer = new_socket (context, ZMQ_DEALER);
    void *router = new_socket (context, ZMQ_ROUTER);
    char small[4] = "....";
    static char large[100000];
    say ("over %.6s", endpoint);
    MUST (zmq_setsockopt (dealer, ZMQ_ROUTING_ID, "peer", 4));
    link_up (router, dealer, endpoint);

    send_text (dealer, "one", ZMQ_SNDMORE);
    send_text (dealer, "", ZMQ_SNDMORE);
    send_text (dealer, "three", 0);
    say_message (router, "router");

    /* A frame that is longer than the buffer is cut, and its whole length told. */
    send_text (dealer, "longer than four", 0);
    say_frame (router, "router");
    TELL (zmq_recv (router, small, sizeof small, 0));
    say ("%.4s", small);

    /* Frames on both sides of where bodies are no longer inside the message. */
    static const size_t sizes[] = {0, 1, 29, 33, 34, 64, 255, 256, 8192, 100000};
    size_t count = sizeof sizes / sizeof *sizes;
    memset (large, 'x', sizeof large);
    for (size_t i = 0; i < count; i++) {
        zmq_msg_t part;
        MUST (zmq_msg_init_size (&part, sizes[i]));
        memcpy (zmq_msg_data (&part), large, sizes[i]);
        MUST (zmq_msg_send (&part, dealer, i + 1 < count ? ZMQ_SNDMORE : 0));
        say ("after send: %zu bytes", zmq_msg_size (&part));
        MUST (zmq_msg_close (&part));
    }
    say_parts (router);

    send_text (router, "peer", ZMQ_SNDMORE);
    send_text (router, "back", ZMQ_SNDMORE);
    send_text (router, "again", 0);
    say_message (dealer, "dealer");

    /* Half a message is nothing to the other side. */
    send_text (dealer, "half", ZMQ_SNDMORE);
    TELL (zmq_recv (router, NULL, 0, ZMQ_DONTWAIT));
    send_text (dealer, "whole", 0);
    say_message (router, "router");

    /* To a peer that is not there: dropped, frame for frame, or refused. */
    send_text (router, "nobody", ZMQ_SNDMORE);
    TELL (zmq_send (router, "dropped", 7, 0));
    set (router, ZMQ_ROUTER_MANDATORY, 1);
    TELL (zmq_send (router, "nobody", 6, ZMQ_SNDMORE));
    send_text (router, "peer", ZMQ_SNDMORE);
    TELL (zmq_send (router, "kept", 4, 0));
    say_message (dealer, "dealer");

    MUST (zmq_close (dealer));
    MUST (zmq_close (router));
}

int main (void)
{
    void *context = new_context ();
    over (context, "tcp://127.0.0.1:*");
    over (context, "inproc://multipart");
    MUST (zmq_ctx_term (context));
    return 0;
}

/* Requests and replies over each transport, and calls out of turn. */
#include "say.h"

static void over (void *context, const char *endpoint)
{
    void *rep = new_socket (context, ZMQ_REP);
    void *req = new_socket (context, ZMQ_REQ);
    say ("over %.6s", endpoint);
    link_up (rep, req, endpoint);

    TELL (zmq_recv (req, NULL, 0, 0));
    TELL (zmq_send (rep, "early", 5, 0));
    for (int round = 0; round < 3; round++) {
        char text[16];
        snprintf (text, sizeof text, "request %d", round);
        send_text (req, text, 0);
        TELL (zmq_send (req, "again", 5, 0));
        say_message (rep, "rep");
        TELL (zmq_recv (rep, NULL, 0, ZMQ_DONTWAIT));
        send_text (rep, "reply in", ZMQ_SNDMORE);
        send_text (rep, "two frames", 0);
        say_message (req, "req");
    }

    TELL (zmq_send (req, "", 0, 0));
    say_message (rep, "rep");
    TELL (zmq_send (rep, "", 0, 0));
    say_message (req, "req");
    TELL (zmq_close (req));
    TELL (zmq_close (rep));
}

int main (void)
{
    void *context = new_context ();
    over (context, "tcp://127.0.0.1:*");
    over (context, "ipc://*");
    over (context, "inproc://request-reply");
    TELL (zmq_ctx_term (context));
    return 0;
}

/* zmq_sendiov and zmq_recviov. */
#include "say.h"

#include <sys/uio.h>

int main (void)
{
    void *context = new_context ();
    void *push = new_socket (context, ZMQ_PUSH);
    void *pull = new_socket (context, ZMQ_PULL);
    char one[] = "one", three[] = "three";
    struct iovec out[3] = {{one, 3}, {NULL, 0}, {three, 5}};
    link_up (pull, push, "inproc://vectors");

    /* With ZMQ_SNDMORE the frames are one message, which ends with the last of them. */
    TELL (zmq_sendiov (push, out, 3, ZMQ_SNDMORE));
    say_message (pull, "pull");

    /* Without it they are messages each. */
    TELL (zmq_sendiov (push, out, 3, 0));
    for (int i = 0; i < 3; i++)
        say_message (pull, "pull");

    for (int i = 0; i < 4; i++)
        send_text (push, i == 1 ? "" : "four", i < 3 ? ZMQ_SNDMORE : 0);
    struct iovec in[8];
    size_t count = 8;
    memset (in, 0, sizeof in);
    TELL (zmq_recviov (pull, in, &count, 0));
    say ("count %zu", count);
    for (size_t i = 0; i < count && i < 8; i++) {
        say ("%zu bytes: \"%.*s\"", in[i].iov_len, (int) in[i].iov_len, (char *) in[i].iov_base);
        free (in[i].iov_base);
    }

    /* Less room than frames: the rest is still to be had. */
    for (int i = 0; i < 3; i++)
        send_text (push, "part", i < 2 ? ZMQ_SNDMORE : 0);
    count = 2;
    memset (in, 0, sizeof in);
    TELL (zmq_recviov (pull, in, &count, 0));
    say ("count %zu", count);
    free (in[0].iov_base);
    free (in[1].iov_base);
    say_message (pull, "the rest");

    count = 2;
    TELL (zmq_recviov (pull, in, &count, ZMQ_DONTWAIT));
    TELL (zmq_recviov (NULL, in, &count, 0));
    TELL (zmq_sendiov (NULL, out, 1, 0));
    TELL (zmq_sendiov (push, NULL, 1, 0));
    TELL (zmq_sendiov (push, out, 0, 0));
    TELL (zmq_recviov (pull, NULL, &count, ZMQ_DONTWAIT));
    count = 0;
    TELL (zmq_recviov (pull, in, &count, ZMQ_DONTWAIT));
    MUST (zmq_close (push));
    MUST (zmq_close (pull));
    MUST (zmq_ctx_term (context));
    return 0;
}

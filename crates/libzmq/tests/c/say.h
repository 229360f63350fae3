/* What the programs of this folder share: they say what they see, line by line, the same with any
 * library that does as the manual says. A program that hangs is ended by its alarm. */
#ifndef SAY_H
#define SAY_H

#include <zmq.h>

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Longer than any program takes, under valgrind too. */
#define PATIENCE_SECONDS 100

static void say (const char *format, ...)
{
    va_list rest;
    va_start (rest, format);
    vprintf (format, rest);
    va_end (rest);
    putchar ('\n');
    fflush (stdout);
}

/* The name of an errno, so that the output does not depend on numbers. */
static const char *name_of (int number)
{
    static char other[32];
    switch (number) {
#define NAME(e) \
    case e: \
        return #e;
        NAME (EAGAIN)
        NAME (EINVAL)
        NAME (EFAULT)
        NAME (ENOTSOCK)
        NAME (ENOTSUP)
        NAME (EPROTONOSUPPORT)
        NAME (ENOCOMPATPROTO)
        NAME (EADDRINUSE)
        NAME (EADDRNOTAVAIL)
        NAME (ECONNREFUSED)
        NAME (EHOSTUNREACH)
        NAME (ENODEV)
        NAME (ENOENT)
        NAME (ENOMEM)
        NAME (EMFILE)
        NAME (EMTHREAD)
        NAME (EMSGSIZE)
        NAME (EINTR)
        NAME (EFSM)
        NAME (ETERM)
        NAME (EBADF)
        NAME (ENAMETOOLONG)
#undef NAME
        default:
            snprintf (other, sizeof other, "errno %d", number);
            return other;
    }
}

/* Says what came of a call: the number, or the error. */
static int tell (const char *what, long long given)
{
    int number = zmq_errno ();
    if (given == -1)
        say ("%s: %s", what, name_of (number));
    else
        say ("%s: %lld", what, given);
    return (int) given;
}
#define TELL(call) \
    do { \
        errno = 0; \
        tell (#call, (call)); \
    } while (0)
/* A pointer is not said, but whether there is one. */
#define TELL_POINTER(call) \
    do { \
        errno = 0; \
        say ("%s: %s", #call, (call) ? "a pointer" : name_of (zmq_errno ())); \
    } while (0)

/* For calls that are not what the program is about. */
static void must (int given, const char *what, int line)
{
    if (given == -1) {
        say ("line %d: %s: %s", line, what, name_of (zmq_errno ()));
        exit (1);
    }
}
#define MUST(call) must ((int) (call), #call, __LINE__)

static void *new_context (void)
{
    void *context = zmq_ctx_new ();
    alarm (PATIENCE_SECONDS);
    assert (context);
    return context;
}

static void *new_socket (void *context, int type)
{
    void *socket = zmq_socket (context, type);
    if (!socket)
        must (-1, "zmq_socket", __LINE__);
    return socket;
}

static void set (void *socket, int option, int value)
{
    MUST (zmq_setsockopt (socket, option, &value, sizeof value));
}

static int number_of (void *socket, int option)
{
    int value = -1;
    size_t length = sizeof value;
    MUST (zmq_getsockopt (socket, option, &value, &length));
    return value;
}

/* Binds, and writes the endpoint that came of it. */
static void bind_to (void *socket, const char *endpoint, char found[256])
{
    size_t length = 256;
    MUST (zmq_bind (socket, endpoint));
    MUST (zmq_getsockopt (socket, ZMQ_LAST_ENDPOINT, found, &length));
}

static void send_text (void *socket, const char *text, int flags)
{
    MUST (zmq_send (socket, text, strlen (text), flags));
}

/* Receives one frame as text, says it, and tells whether more follow. */
static int say_frame (void *socket, const char *who)
{
    char text[256] = "";
    int length = zmq_recv (socket, text, sizeof text - 1, 0);
    must (length, "zmq_recv", __LINE__);
    text[length < 255 ? length : 255] = 0;
    int more = number_of (socket, ZMQ_RCVMORE);
    say ("%s: \"%s\"%s", who, text, more ? " and more" : "");
    return more;
}

static void say_message (void *socket, const char *who)
{
    while (say_frame (socket, who)) {
    }
}

/* A pair of connected sockets. The name of the inproc endpoint is the context's own. */
static void link_up (void *bound, void *connected, const char *endpoint)
{
    char found[256];
    bind_to (bound, endpoint, found);
    MUST (zmq_connect (connected, found));
}

/* Some programs need only a part of this. */
static inline void unused (void)
{
    (void) say_message;
    (void) link_up;
    (void) send_text;
    (void) set;
    (void) new_context;
    (void) new_socket;
    (void) tell;
}

#endif

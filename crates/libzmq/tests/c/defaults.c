/* What every option is in a new socket of every type: its length, and its value. */
#include "say.h"

static const struct option
{
    const char *name;
    int number;
} options[] = {
#define OPTION(name) {#name, ZMQ_##name},
  OPTION (AFFINITY) OPTION (ROUTING_ID) OPTION (RATE) OPTION (RECOVERY_IVL) OPTION (SNDBUF)
  OPTION (RCVBUF) OPTION (RCVMORE) OPTION (EVENTS) OPTION (TYPE) OPTION (LINGER)
  OPTION (RECONNECT_IVL) OPTION (BACKLOG) OPTION (RECONNECT_IVL_MAX) OPTION (MAXMSGSIZE)
  OPTION (SNDHWM) OPTION (RCVHWM) OPTION (MULTICAST_HOPS) OPTION (RCVTIMEO) OPTION (SNDTIMEO)
  OPTION (IPV4ONLY) OPTION (LAST_ENDPOINT) OPTION (TCP_KEEPALIVE) OPTION (TCP_KEEPALIVE_CNT)
  OPTION (TCP_KEEPALIVE_IDLE) OPTION (TCP_KEEPALIVE_INTVL) OPTION (IMMEDIATE) OPTION (IPV6)
  OPTION (MECHANISM) OPTION (PLAIN_SERVER) OPTION (PLAIN_USERNAME) OPTION (PLAIN_PASSWORD)
  OPTION (CURVE_SERVER) OPTION (CURVE_PUBLICKEY) OPTION (CURVE_SECRETKEY)
  OPTION (CURVE_SERVERKEY) OPTION (CONFLATE) OPTION (ZAP_DOMAIN) OPTION (TOS)
  OPTION (HANDSHAKE_IVL) OPTION (SOCKS_PROXY) OPTION (INVERT_MATCHING) OPTION (HEARTBEAT_IVL)
  OPTION (HEARTBEAT_TTL) OPTION (HEARTBEAT_TIMEOUT) OPTION (CONNECT_TIMEOUT) OPTION (TCP_MAXRT)
  OPTION (THREAD_SAFE) OPTION (MULTICAST_MAXTPDU) OPTION (USE_FD) OPTION (BINDTODEVICE)
  /* To be set only, or not of every type. */
  OPTION (SUBSCRIBE) OPTION (UNSUBSCRIBE) OPTION (ROUTER_MANDATORY) OPTION (XPUB_VERBOSE)
  OPTION (PROBE_ROUTER) OPTION (REQ_CORRELATE) OPTION (REQ_RELAXED) OPTION (ROUTER_HANDOVER)
  OPTION (CONNECT_ROUTING_ID) OPTION (XPUB_NODROP) OPTION (XPUB_MANUAL) OPTION (STREAM_NOTIFY)
  OPTION (XPUB_VERBOSER)
#undef OPTION
};

static const char *const types[] = {"PAIR", "PUB",  "SUB",  "REQ",  "REP",  "DEALER",
                                    "ROUTER", "PULL", "PUSH", "XPUB", "XSUB", "STREAM"};

static void say_option (void *socket, const char *type, const struct option *option)
{
    /* Numbers want exactly their length, text and bytes at least theirs; a key is 32 bytes. */
    static const size_t lengths[] = {sizeof (int), sizeof (int64_t), 32, 256};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        unsigned char value[256];
        char text[64] = "";
        size_t length = lengths[i];
        memset (value, 0, sizeof value);
        if (zmq_getsockopt (socket, option->number, value, &length) == -1) {
            say ("%s %s: %s with room for %zu", type, option->name, name_of (zmq_errno ()),
                 lengths[i]);
            continue;
        }
        /* As C's numbers are, the lowest byte first. */
        for (size_t n = 0; n < length && n < 16; n++)
            snprintf (text + strlen (text), sizeof text - strlen (text), " %02x", value[n]);
        say ("%s %s: %zu bytes:%s", type, option->name, length, text);
        return;
    }
}

int main (void)
{
    void *context = new_context ();
    for (int type = 0; type < 12; type++) {
        void *socket = new_socket (context, type);
        for (size_t i = 0; i < sizeof options / sizeof *options; i++)
            say_option (socket, types[type], &options[i]);
        MUST (zmq_close (socket));
    }
    MUST (zmq_ctx_term (context));
    return 0;
}

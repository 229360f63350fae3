/* Not one of the programs that must be clean: it leaks, to show that valgrind says so. A message that
 * is forgotten takes its body along, which the library has allocated. */
#include "say.h"

static void forget (size_t size)
{
    zmq_msg_t msg;
    MUST (zmq_msg_init_size (&msg, size));
    memset (zmq_msg_data (&msg), 'x', size);
    /* Nothing points to the body any more. */
    memset (&msg, 0, sizeof msg);
}

int main (void)
{
    void *context = new_context ();
    forget (12345);
    MUST (zmq_ctx_term (context));
    return 0;
}

/* What a Cortex-M does before main: stack, vectors, floating-point unit, cleared memory; the exit code goes to the
 * emulator by semihosting. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

extern unsigned char bss_begin[], bss_end[], stack_top[];
int main(void);
void initialise_monitor_handles(void);
void reset(void);
void _init(void);
void _fini(void);

#define COPROCESSOR_ACCESS (*(volatile uint32_t *)0xE000ED88u)

static void stop(void)
{
    exit(99);
}

void reset(void)
{
    COPROCESSOR_ACCESS |= 0xFu << 20;
    __asm volatile("dsb\n\tisb");
#if defined(__ARM_FEATURE_MVE)
    { /* vectors of a whole register: no tail is predicated */
        uint32_t status;
        __asm volatile("vmrs %0, fpscr" : "=r"(status));
        __asm volatile("vmsr fpscr, %0" ::"r"((status & ~(7u << 16)) | (4u << 16)));
    }
#endif
    memset(bss_begin, 0, (size_t)(bss_end - bss_begin));
    initialise_monitor_handles();
    exit(main());
}

/* Called by the C library; there is nothing to do. */
void _init(void)
{
}

void _fini(void)
{
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    stack_top, (const void *)reset, (const void *)stop, (const void *)stop,
    (const void *)stop, (const void *)stop, (const void *)stop, 0, 0, 0, 0,
    (const void *)stop, (const void *)stop, 0, (const void *)stop, (const void *)stop,
};

/* Runs a network NAME some times, and does next to nothing else. */
#include HEADER

#define JOINED(a, b) a##_##b
#define JOIN(a, b) JOINED(a, b)
#define THE(word) JOIN(NAME, word)
#define THE_SIZE(word) JOIN(NAME_UPPER, word)

static unsigned char arena[THE_SIZE(ARENA_BYTES)] __attribute__((aligned(THE_SIZE(ARENA_ALIGN))));
static float input[THE_SIZE(INPUT_SIZE)], output[THE_SIZE(OUTPUT_SIZE)];
static THE(ctx) ctx;

int main(void)
{
    for (unsigned i = 0; i < THE_SIZE(INPUT_SIZE); ++i) {
        input[i] = (float)(i % 251u) / 256.0f;
    }
    if (THE(init)(&ctx, arena, sizeof arena) != 0) {
        return 1;
    }
    for (int run = 0; run < RUNS; ++run) {
        if (THE(run)(&ctx, (const void *)input, output) != 0) {
            return 1;
        }
    }
    return 0;
}

/* Reads images from a file, row by row as a camera would deliver them, and writes what the network NAME answers. */
#include HEADER

#include <stdio.h>

#define JOINED(a, b) a##_##b
#define JOIN(a, b) JOINED(a, b)
#define THE(word) JOIN(NAME, word)
#define THE_SIZE(word) JOIN(NAME_UPPER, word)

static unsigned char arena[THE_SIZE(ARENA_BYTES)] __attribute__((aligned(THE_SIZE(ARENA_ALIGN))));
static float row[THE_SIZE(ROW_SIZE)];
static float output[THE_SIZE(OUTPUT_SIZE)];
static THE(ctx) ctx;

int main(void)
{
    FILE *images = fopen("images", "rb"), *answers = fopen("answers", "wb");
    if (images == NULL || answers == NULL || THE(init)(&ctx, arena, sizeof arena) != 0 || THE(begin)(&ctx, output) != 0) {
        return 1;
    }
    for (unsigned y = 0; fread(row, sizeof row, 1, images) == 1;) { /* the output may not depend on the last rows */
        const int state = THE(push_row)(&ctx, row);
        if (state < 0) {
            return 1;
        }
        if (++y == THE_SIZE(ROWS)) {
            y = 0;
            if (fwrite(output, sizeof output, 1, answers) != 1 || THE(begin)(&ctx, output) != 0) {
                return 1;
            }
        }
    }
    return fclose(answers) != 0;
}

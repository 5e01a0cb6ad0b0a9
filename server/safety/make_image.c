/* safety_make_image FILE: reads the built-in lists and writes them as they are then (image.c). Run
 * by the build alone. */
#include "safety/internal.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    static struct safety s; /* ends with the program */
    struct safety_config config = {0};
    char err[256] = "out of memory";

    if (argc != 2) {
        fprintf(stderr, "usage: safety_make_image FILE\n");
        return 2;
    }
    if (safety_read(&s, &config, err, sizeof err) != TEDDY_OK) {
        fprintf(stderr, "server/safety/data/%s\n", err);
        return 1;
    }
    FILE *f = fopen(argv[1], "wbe");
    bool ok = f && image_write(&s, f);
    if ((f && fclose(f) != 0) || !ok) {
        perror(argv[1]);
        return 1;
    }
    return 0;
}

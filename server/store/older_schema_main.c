/* older-schema FILE VERSION: for tests that want a database of an older release. */
#include <stdio.h>
#include <stdlib.h>

#include "store/older_schema.h"

int main(int argc, char **argv)
{
    char err[512];
    if (argc != 3) {
        (void)fputs("older-schema FILE VERSION\n", stderr);
        return 2;
    }
    if (older_schema(argv[1], (int)strtol(argv[2], NULL, 10), err, sizeof err))
        return 0;
    (void)fprintf(stderr, "%s\n", err);
    return 1;
}

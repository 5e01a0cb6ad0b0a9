/* Runs a target over files and the files of directories, without libFuzzer: how the ordinary tests
 * keep every input of corpus/ and regression/ passing, whatever the compiler. Files that begin with
 * a dot are left out. */
#include <dirent.h>
#include <sys/stat.h>

#include "fuzz.h"

static unsigned long count;

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    size_t len = 0;
    struct stat st;
    int failed = 1;

    if (file == NULL || fstat(fileno(file), &st) != 0)
        goto out;
    len = (size_t)st.st_size;
    data = malloc(len > 0 ? len : 1);
    if (data == NULL || fread(data, 1, len, file) != len)
        goto out;
    (void)LLVMFuzzerTestOneInput(data, len);
    count++;
    failed = 0;
out:
    if (failed)
        perror(path);
    if (file != NULL)
        fclose(file);
    free(data);
    return failed;
}

static int replay_directory(const char *path, DIR *dir)
{
    const struct dirent *entry;
    int failed = 0;

    while ((entry = readdir(dir)) != NULL) {
        char file[4096];

        if (entry->d_name[0] == '.')
            continue;
        if (snprintf(file, sizeof file, "%s/%s", path, entry->d_name) >= (int)sizeof file)
            return 1;
        failed |= replay_file(file);
    }
    return failed;
}

int main(int argc, char **argv)
{
    int failed = 0;

    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);

        failed |= dir != NULL ? replay_directory(argv[i], dir) : replay_file(argv[i]);
        if (dir != NULL)
            closedir(dir);
    }
    printf("%lu inputs\n", count);
    return failed || count == 0; /* nothing replayed shows nothing */
}

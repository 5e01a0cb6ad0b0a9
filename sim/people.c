#include "sim/people.h"

#include <errno.h>
#include <fcntl.h>
#include <mbedtls/md.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/ids.h"
#include "proto/text.h"
#include "proto/writer.h"

bool person_make(const struct sim_args *args, uint32_t index, struct person *out)
{
    char key[64];

    snprintf(out->id, sizeof out->id, "%s-%06u", args->prefix, index + 1);
    int len = snprintf(key, sizeof key, "teddy-sim %llu", (unsigned long long)args->seed);
    return mbedtls_md_hmac(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), (const uint8_t *)key,
                           (size_t)len, (const uint8_t *)out->id, strlen(out->id),
                           out->secret) == 0;
}

static bool parse(char *line, struct person *out)
{
    struct span id, secret;

    line[strcspn(line, "\r\n")] = '\0';
    id = (struct span){line, strcspn(line, ",")};
    if (line[id.len] != ',' || !id_ok(id))
        return false;
    secret = span_of(line + id.len + 1);
    memcpy(out->id, id.p, id.len);
    out->id[id.len] = '\0';
    return hex_decode(secret, out->secret, sizeof out->secret) == TEDDY_OK;
}

bool people_read(const char *path, struct person *out, uint32_t count)
{
    FILE *f = fopen(path, "re");
    char line[512];
    uint32_t n = 0, number = 0;
    bool good = true;

    if (f == NULL) {
        fprintf(stderr, "teddy-sim: %s: %s\n", path, strerror(errno));
        return false;
    }
    while (good && n < count && fgets(line, sizeof line, f) != NULL) {
        bool header = number++ == 0 && strncmp(line, "device_id,", 10) == 0;
        if (header || line[0] == '\n')
            continue;
        good = parse(line, &out[n]);
        n += good;
    }
    wipe(line, sizeof line);
    fclose(f);
    if (!good)
        fprintf(stderr, "teddy-sim: %s:%u: not device_id,oob_secret (64 hex digits)\n", path,
                number);
    else if (n < count)
        fprintf(stderr, "teddy-sim: %s has %u toys of the %u that --devices asks for\n", path, n,
                count);
    return good && n == count;
}

static bool write_all(FILE *f, const struct sim_args *args)
{
    bool good = fputs("device_id,oob_secret\n", f) >= 0;

    for (uint32_t i = 0; good && i < args->devices; i++) {
        struct person p;
        char hex[2 * sizeof p.secret + 1];
        struct writer w = writer_on(hex, sizeof hex);
        good = person_make(args, i, &p);
        writer_hex(&w, p.secret, sizeof p.secret);
        good = good && writer_end(&w) == TEDDY_OK && fprintf(f, "%s,%s\n", p.id, hex) > 0;
    }
    return good;
}

bool people_write(const struct sim_args *args)
{
    int fd = open(args->write_csv, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    bool good = f != NULL && write_all(f, args);

    if (f != NULL)
        good = fclose(f) == 0 && good;
    else if (fd >= 0)
        close(fd);
    if (!good)
        fprintf(stderr, "teddy-sim: cannot write %s: %s\n", args->write_csv, strerror(errno));
    return good;
}

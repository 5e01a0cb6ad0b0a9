/* A request to the running server's admin socket, and what came of it. */
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "admin/admin.h"
#include "cli/link.h"
#include "proto/text.h"

#define ANSWER_MAX ((size_t)ADMIN_ANSWER_MAX)
#define TIMEOUT_S  60L

struct buffer {
    char *p;
    size_t len, cap;
};

static void buffer_fini(struct buffer *b)
{
    if (b->p != NULL)
        wipe(b->p, b->cap);
    free(b->p);
}

/* Not realloc: what it leaves behind may hold a secret. */
static size_t receive(char *data, size_t size, size_t n, void *user)
{
    struct buffer *b = user;
    size_t len = size * n;

    if (len > ANSWER_MAX - b->len)
        return 0;
    if (len > b->cap - b->len) {
        size_t cap = 2 * (b->len + len) + 4096;
        char *more = malloc(cap);
        if (more == NULL)
            return 0;
        if (b->len > 0)
            memcpy(more, b->p, b->len);
        buffer_fini(b);
        b->p = more;
        b->cap = cap;
    }
    memcpy(b->p + b->len, data, len);
    b->len += len;
    return len;
}

static bool set_up(CURL *curl, const struct link_request *r, struct buffer *out,
                   struct curl_slist **fields, const char *socket_path)
{
    char url[LINK_PATH_MAX + 32];
    CURLcode rc = CURLE_OK;

    (void)snprintf(url, sizeof url, "http://localhost%s", r->path);
    *fields = curl_slist_append(NULL, "Expect:");
    if (*fields != NULL && r->type != NULL) {
        struct curl_slist *more = curl_slist_append(*fields, r->type);
        if (more == NULL)
            return false;
        *fields = more;
    }
    rc |= *fields == NULL ? CURLE_OUT_OF_MEMORY : CURLE_OK;
    rc |= curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket_path);
    rc |= curl_easy_setopt(curl, CURLOPT_URL, url);
    rc |= curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* whatever the environment says */
    rc |= curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, r->method);
    rc |= curl_easy_setopt(curl, CURLOPT_HTTPHEADER, *fields);
    rc |= curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_S);
    rc |= curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    rc |= curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
    rc |= curl_easy_setopt(curl, CURLOPT_WRITEDATA, out);
    if (strcmp(r->method, "POST") == 0) {
        rc |= curl_easy_setopt(curl, CURLOPT_POSTFIELDS, r->type != NULL ? r->body : "");
        rc |= curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->len);
    }
    return rc == CURLE_OK;
}

/* CTL_DONE with *status and out, LINK_NO_SERVER, or CTL_FAILED with a line printed. */
static int ask(struct ctl *ctl, const struct link_request *r, long *status, struct buffer *out)
{
    char path[sizeof ctl->dir + 32], why[CURL_ERROR_SIZE] = "";
    struct curl_slist *fields = NULL;
    CURL *curl;
    CURLcode rc;
    long os = 0;

    (void)snprintf(path, sizeof path, "%s/%s", ctl->dir, ADMIN_SOCKET);
    if (strlen(path) >= sizeof((struct sockaddr_un *)0)->sun_path)
        return LINK_NO_SERVER; /* no socket can be there */
    curl = curl_easy_init();
    if (curl == NULL || !set_up(curl, r, out, &fields, path)) {
        curl_slist_free_all(fields);
        curl_easy_cleanup(curl);
        return fail("libcurl could not be set up");
    }
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    rc = curl_easy_perform(curl);
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status);
    (void)curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os);
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL);
    curl_slist_free_all(fields);
    curl_easy_cleanup(curl);
    if (rc == CURLE_COULDNT_CONNECT && os == EACCES)
        return link_not_ours(ctl, "the server's socket is closed");
    if (rc == CURLE_COULDNT_CONNECT)
        return LINK_NO_SERVER;
    if (rc != CURLE_OK)
        return fail("the server on %s did not answer (%s); its log may say why", ctl->dir,
                    why[0] != '\0' ? why : curl_easy_strerror(rc));
    return CTL_DONE;
}

int link_refused(const json_t *problem, const char *file)
{
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    const char *code = json_string_value(json_object_get(problem, "code"));
    const json_t *errors = json_object_get(problem, "errors");

    for (size_t i = 0; i < json_array_size(errors); i++) {
        const json_t *e = json_array_get(errors, i);
        const char *what = json_string_value(json_object_get(e, "error"));
        (void)fprintf(stderr, "%s:%lld: %s\n", file,
                      (long long)json_integer_value(json_object_get(e, "line")),
                      what != NULL ? what : "bad");
    }
    return fail("%s%s", detail != NULL ? detail : "refused", code != NULL ? link_hint(code) : "");
}

int link_take_reply(const char *text, size_t len, long status, const char *file, json_t **reply)
{
    json_t *json = json_loadb(text, len, 0, NULL);
    int rc = CTL_DONE;

    if (status >= 200 && status < 300 && json != NULL) {
        *reply = json;
        return rc;
    }
    if (file == NULL && json_is_string(json_object_get(json, "code"))) {
        *reply = json;
        return CTL_FAILED;
    }
    rc = json_is_string(json_object_get(json, "detail"))
             ? link_refused(json, file != NULL ? file : "")
             : fail("the server answered with status %ld", status);
    json_decref(json);
    return rc;
}

int link_ask(struct ctl *ctl, const struct link_request *r, const char *file, json_t **reply)
{
    struct buffer out = {0};
    long status = 0;
    int rc = ask(ctl, r, &status, &out);

    if (rc == CTL_DONE)
        rc = link_take_reply(out.p != NULL ? out.p : "", out.len, status, file, reply);
    buffer_fini(&out);
    return rc;
}

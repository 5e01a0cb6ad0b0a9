/* The system prompt: a template in which {name}, {age}, {language} and {limits} stand for what is
 * known of the child. All else of it is said as it stands, also braces; what is put in is never
 * read again. */
#ifndef MIND_PROMPT_H
#define MIND_PROMPT_H

#include "store/talk.h"

#define PROMPT_FILE_MAX 16384

struct prompt;

/* path NULL: the one built in. TEDDY_EINVAL: err says what is wrong with the file. */
TEDDY_MUST_CHECK int prompt_open(const char *path, struct prompt **out, char *err, size_t cap);
void prompt_free(struct prompt *p);
/* malloc'd, NULL: out of memory. */
char *prompt_write(const struct prompt *p, const struct profile_row *who, size_t *len);

#endif

/* Manual pages, in man(7)'s macros. */
#ifndef TOOLS_ROFF_H
#define TOOLS_ROFF_H

#include <stdio.h>

/* The head of a page, and NAME. Its date is that of SOURCE_DATE_EPOCH, or today. */
void roff_begin(FILE *out, const char *name, int section, const char *version, const char *about);
void roff_section(FILE *out, const char *title);
/* Text as it is, none of it a request. */
void roff_text(FILE *out, const char *text);
/* Lines: a paragraph goes on until an empty one; what is indented stays as it is. */
void roff_lines(FILE *out, const char *text);
/* A tagged paragraph: what stands in front, and the text of it. */
void roff_item(FILE *out, const char *tag, const char *text);
/* "SEE ALSO": names with their sections, "teddyd(8), teddyctl(1)". */
void roff_see_also(FILE *out, const char *names);

#endif

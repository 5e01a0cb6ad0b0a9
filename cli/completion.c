/* teddyctl completion: what a shell completes, from the table of commands. The scripts hold it all
 * as words, so that pressing Tab runs no program. */
#include <stdlib.h>
#include <string.h>

#include "cli/table.h"

static bool is_word(const char *words, const char *word)
{
    return words != NULL && strcmp(words, word) == 0;
}

/* What stands behind the command's own words: by the first argument's name when the row says
 * nothing. */
static const char *argument_words(const struct ctl_command *c)
{
    if (c->words != NULL)
        return c->words;
    return c->args != NULL && strncmp(c->args, "FILE", 4) == 0 ? "FILE" : NULL;
}

static void put_verbs(FILE *out, const char *group)
{
    const char *space = "";

    for (size_t i = 0; i < ctl_command_count; i++)
        if (strcmp(ctl_commands[i].group, group) == 0) {
            (void)fprintf(out, "%s%s", space, ctl_commands[i].verb);
            space = " ";
        }
}

static void put_names(FILE *out, const struct ctl_option *options)
{
    for (const struct ctl_option *o = options; o != NULL && o->name != NULL; o++)
        (void)fprintf(out, " %s", o->name);
}

/* ---- bash ---- */

/* Each option that has a value once, with what may follow it. */
static bool said_before(size_t at, const struct ctl_option *o)
{
    for (const struct ctl_option *p = ctl_globals; p->name != NULL; p++)
        if (p != o && strcmp(p->name, o->name) == 0)
            return true;
    for (size_t i = 0; i < at; i++)
        for (const struct ctl_option *p = ctl_commands[i].options; p != NULL && p->name != NULL;
             p++)
            if (strcmp(p->name, o->name) == 0)
                return true;
    return false;
}

static void bash_values(FILE *out, const struct ctl_option *options, size_t at)
{
    for (const struct ctl_option *o = options; o != NULL && o->name != NULL; o++) {
        if (o->value == NULL || said_before(at, o))
            continue;
        if (is_word(o->words, "FILE") || is_word(o->words, "DIR"))
            (void)fprintf(out,
                          "    %s) mapfile -t COMPREPLY < <(compgen -%c -- \"$cur\"); compopt "
                          "-o filenames 2>/dev/null; return ;;\n",
                          o->name, o->words[0] == 'F' ? 'f' : 'd');
        else
            (void)fprintf(out, "    %s) COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return ;;\n",
                          o->name, o->words != NULL ? o->words : "");
    }
}

static void bash_groups(FILE *out)
{
    (void)fputs("  case \"${words[*]}\" in\n    '') cand='help", out);
    for (size_t i = 0; i < ctl_command_count; i++)
        if (command_begins_group(i))
            (void)fprintf(out, " %s", ctl_commands[i].group);
    (void)fputs("' ;;\n", out);
    for (size_t i = 0; i < ctl_command_count; i++)
        if (command_begins_group(i) && ctl_commands[i].verb != NULL) {
            (void)fprintf(out, "    '%s') cand='", ctl_commands[i].group);
            put_verbs(out, ctl_commands[i].group);
            (void)fputs("' ;;\n", out);
        }
}

static void bash_commands(FILE *out)
{
    char name[96];

    for (size_t i = 0; i < ctl_command_count; i++) {
        const struct ctl_command *c = &ctl_commands[i];
        const char *words = argument_words(c);
        command_name(c, false, name);
        (void)fprintf(out, "    '%s'|'%s '*) opts=\"$opts", name, name);
        put_names(out, c->options);
        (void)fputs("\"", out);
        if (is_word(words, "FILE"))
            (void)fputs("; files=1", out);
        else if (words != NULL)
            (void)fprintf(out, "; cand='%s'", words);
        (void)fputs(" ;;\n", out);
    }
}

static void print_bash(FILE *out)
{
    (void)fputs("# bash completion for teddyctl; made by: teddyctl completion bash\n"
                "_teddyctl() {\n"
                "  local cur=${COMP_WORDS[COMP_CWORD]} prev='' cand='' opts='' files='' i w\n"
                "  local -a words=()\n"
                "  COMPREPLY=()\n"
                "  ((COMP_CWORD > 0)) && prev=${COMP_WORDS[COMP_CWORD-1]}\n"
                /* --name=value are three of bash's words. */
                "  [[ $cur == = ]] && cur=''\n"
                "  [[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD-2]}\n"
                "  case $prev in\n",
                out);
    bash_values(out, ctl_globals, 0);
    for (size_t i = 0; i < ctl_command_count; i++)
        bash_values(out, ctl_commands[i].options, i);
    (void)fputs("  esac\n"
                "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
                "    w=${COMP_WORDS[i]}\n"
                "    case $w in\n"
                "      ",
                out);
    const char *bar = "";
    for (const struct ctl_option *o = ctl_globals; o->name != NULL; o++)
        if (o->value != NULL) {
            (void)fprintf(out, "%s%s", bar, o->name);
            bar = "|";
        }
    for (size_t i = 0; i < ctl_command_count; i++)
        for (const struct ctl_option *o = ctl_commands[i].options; o != NULL && o->name != NULL;
             o++)
            if (o->value != NULL && !said_before(i, o))
                (void)fprintf(out, "|%s", o->name);
    (void)fputs(") ((i++)); [[ ${COMP_WORDS[i]} == = ]] && ((i++)) ;;\n"
                "      -*|help) ;;\n"
                "      *) words+=(\"$w\") ;;\n"
                "    esac\n"
                "  done\n"
                "  local IFS=' '\n"
                "  opts='",
                out);
    put_names(out, ctl_globals);
    (void)fputs("'\n", out);
    bash_groups(out);
    bash_commands(out);
    (void)fputs("  esac\n"
                "  IFS=$' \\t\\n'\n"
                "  if [[ $cur == -* ]]; then\n"
                "    COMPREPLY=($(compgen -W \"$opts\" -- \"$cur\"))\n"
                "  elif [[ -n $files ]]; then\n"
                "    mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); compopt -o filenames "
                "2>/dev/null\n"
                "  else\n"
                "    COMPREPLY=($(compgen -W \"$cand\" -- \"$cur\"))\n"
                "  fi\n"
                "}\n"
                "complete -F _teddyctl teddyctl\n",
                out);
}

/* ---- zsh ---- */

/* Within '…' and _describe's "name:what". */
static void put_zsh(FILE *out, const char *text, const char *bad)
{
    for (; *text != '\0'; text++)
        if (*text == '\'')
            (void)fputs("'\\''", out);
        else if (strchr(bad, *text) != NULL)
            (void)fprintf(out, "\\%c", *text);
        else
            (void)fputc(*text, out);
}

static void zsh_options(FILE *out, const struct ctl_option *options)
{
    for (const struct ctl_option *o = options; o != NULL && o->name != NULL; o++) {
        (void)fprintf(out, " \\\n      '%s[", o->name);
        put_zsh(out, o->text, "[]:\\");
        (void)fputc(']', out);
        if (o->value != NULL)
            (void)fprintf(out, ":%s:", o->value);
        if (o->value == NULL || o->words == NULL)
            ;
        else if (is_word(o->words, "FILE"))
            (void)fputs("_files", out);
        else if (is_word(o->words, "DIR"))
            (void)fputs("_files -/", out);
        else
            (void)fprintf(out, "(%s)", o->words);
        (void)fputc('\'', out);
    }
}

static void zsh_list(FILE *out, const char *group)
{
    for (size_t i = 0; i < ctl_command_count; i++) {
        const struct ctl_command *c = &ctl_commands[i];
        bool mine = group != NULL ? strcmp(c->group, group) == 0 : command_begins_group(i);
        if (!mine)
            continue;
        (void)fprintf(out, "      '%s:", group != NULL ? c->verb : c->group);
        put_zsh(out, group != NULL || c->verb == NULL ? c->summary : "commands", ":\\");
        (void)fputs("'\n", out);
    }
}

static void zsh_command(FILE *out, const struct ctl_command *c)
{
    const char *words = argument_words(c);
    char name[96];

    command_name(c, false, name);
    (void)fprintf(out,
                  "    ('%s'|'%s '*) i=$((at[%d] - 1)); shift $i words; ((CURRENT -= i)); "
                  "_arguments -S $globals",
                  name, name, c->verb != NULL ? 2 : 1);
    zsh_options(out, c->options);
    if (is_word(words, "FILE"))
        (void)fputs(" \\\n      '*:file:_files'", out);
    else if (words != NULL)
        (void)fprintf(out, " \\\n      '1:%s:(%s)'", c->args, words);
    else
        (void)fputs(" \\\n      '*: :()'", out);
    (void)fputs(" ;;\n", out);
}

/* The command's own words are taken off the line, and the rest is left to _arguments. */
static void print_zsh(FILE *out)
{
    (void)fputs("#compdef teddyctl\n"
                "# zsh completion for teddyctl; made by: teddyctl completion zsh\n"
                "_teddyctl() {\n"
                "  local -a globals list own at\n"
                "  local i\n"
                "  globals=(",
                out);
    zsh_options(out, ctl_globals);
    (void)fputs(")\n"
                "  for ((i = 2; i < CURRENT; i++)); do\n"
                "    case $words[i] in\n"
                "      (--data|--config) ((i++)) ;;\n"
                "      (-*|help) ;;\n"
                "      (*) own+=($words[i]) at+=($i); (($#own == 2)) && break ;;\n"
                "    esac\n"
                "  done\n"
                "  case \"$own\" in\n"
                "    ('') list=(\n      'help:more about a command'\n",
                out);
    zsh_list(out, NULL);
    (void)fputs("    ); [[ $words[CURRENT] == -* ]] && _arguments -S $globals || _describe command "
                "list ;;\n",
                out);
    for (size_t i = 0; i < ctl_command_count; i++)
        if (command_begins_group(i) && ctl_commands[i].verb != NULL) {
            (void)fprintf(out, "    ('%s') list=(\n", ctl_commands[i].group);
            zsh_list(out, ctl_commands[i].group);
            (void)fputs("    ); _describe command list ;;\n", out);
        }
    for (size_t i = 0; i < ctl_command_count; i++)
        zsh_command(out, &ctl_commands[i]);
    (void)fputs("  esac\n"
                "}\n"
                "if [[ $funcstack[1] == _teddyctl ]]; then _teddyctl \"$@\"; else compdef "
                "_teddyctl teddyctl; fi\n",
                out);
}

int run_completion(struct ctl *ctl, const char *shell)
{
    void (*print)(FILE * out) = NULL;

    if (strcmp(shell, "bash") == 0)
        print = print_bash;
    else if (strcmp(shell, "zsh") == 0)
        print = print_zsh;
    else
        return usage("completion is there for bash and zsh; see teddyctl completion --help");
    return print_text(ctl, "script", print);
}

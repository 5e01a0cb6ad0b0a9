#include "process/processors.h"

static const struct processor *const PROCESSORS[] = {&processor_echo, &processor_script};

const struct processor *processor_find(const char *name)
{
    for (size_t i = 0; i < sizeof PROCESSORS / sizeof PROCESSORS[0]; i++)
        if (strcmp(PROCESSORS[i]->name, name) == 0)
            return PROCESSORS[i];
    return NULL;
}

/* Log lines, the core's and the port's, under one tag. */
#include "esp_port.h"

#include <esp_log.h>
#include <stdarg.h>
#include <stdio.h>

static const char tag[] = "teddy";

void core_log(void *ctx, enum teddy_log_level level, const char *line)
{
    (void)ctx;
    switch (level) {
    case TEDDY_LOG_ERROR:
        ESP_LOGE(tag, "%s", line);
        break;
    case TEDDY_LOG_WARN:
        ESP_LOGW(tag, "%s", line);
        break;
    case TEDDY_LOG_INFO:
        ESP_LOGI(tag, "%s", line);
        break;
    case TEDDY_LOG_DEBUG:
        ESP_LOGD(tag, "%s", line);
        break;
    }
}

void port_log(enum teddy_log_level level, const char *format, ...)
{
    char line[256];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    core_log(NULL, level, line);
}

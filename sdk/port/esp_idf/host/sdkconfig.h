/* What the host's build of ESP-IDF's nvs_flash and of our storage asks of Kconfig. */
#define CONFIG_IDF_TARGET_LINUX          1
#define CONFIG_IDF_TARGET                "linux"
#define CONFIG_LOG_VERSION               1
#define CONFIG_LOG_VERSION_1             1
#define CONFIG_LOG_TIMESTAMP_SOURCE_RTOS 1
#define CONFIG_LOG_MODE_TEXT             1
#define CONFIG_LOG_MODE_TEXT_EN          1
#define CONFIG_LOG_DEFAULT_LEVEL         0
#define CONFIG_LOG_MAXIMUM_LEVEL         0
#define CONFIG_LOG_IN_IRAM               0
#define CONFIG_ESP_PARTITION_ERASE_CHECK 0
#define CONFIG_FREERTOS_HZ               100
#define CONFIG_TEDDY_FACTORY_PARTITION   "nvs_factory"
#define CONFIG_TEDDY_NVS_PLAIN           1
#define CONFIG_TEDDY_SECRET_NVS          1

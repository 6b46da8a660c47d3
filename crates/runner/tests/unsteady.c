// A sink that writes to a file and fails now and then: of a hundred messages ten are to be tried again, and two fail.
// It is for `count.rs`.

#include "stageline_component.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    char path[PATH_MAX];
} factory;

typedef struct {
    int file;
    uint64_t random;
} sink;

static void *factory_new(char *error, size_t error_size) {
    void *made = calloc(1, sizeof(factory));
    if (made == NULL) {
        snprintf(error, error_size, "no memory");
    }
    return made;
}

static int32_t factory_set_attribute(void *made, const char *name, const char *value, size_t value_len, char *error,
                                     size_t error_size) {
    (void)name;
    if (value_len >= PATH_MAX) {
        snprintf(error, error_size, "expected a path");
        return STAGELINE_FAILED;
    }
    memcpy(((factory *)made)->path, value, value_len);
    return STAGELINE_OK;
}

// One: there is one file.
static size_t factory_pool_size(void *made) {
    (void)made;
    return 1;
}

static void *component_new(void *made, char *error, size_t error_size) {
    const int file = open(((factory *)made)->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    sink *opened = file < 0 ? NULL : malloc(sizeof *opened);
    if (opened == NULL) {
        snprintf(error, error_size, "%s", strerror(errno));
        return NULL;
    }
    *opened = (sink){.file = file, .random = 0x9e3779b97f4a7c15};
    return opened;
}

static uint32_t component_handle(void *component, stageline_message *message) {
    sink *opened = component;
    // Xorshift (Marsaglia 2003).
    opened->random ^= opened->random << 13;
    opened->random ^= opened->random >> 7;
    opened->random ^= opened->random << 17;
    const uint64_t part = opened->random % 100;
    if (part < 12) {
        message->host->describe(message, "not now");
        return part < 10 ? STAGELINE_RETRY : STAGELINE_FAIL;
    }
    if (message->host->append_data(message, (const uint8_t *)"\n", 1) != STAGELINE_OK) {
        message->host->describe(message, "no room for a line feed");
        return STAGELINE_FAIL;
    }
    const uint8_t *data = message->data.data;
    for (size_t left = message->data.len; left > 0;) {
        const ssize_t written = write(opened->file, data, left);
        if (written < 0) {
            message->host->describe(message, strerror(errno));
            return STAGELINE_FAIL;
        }
        data += written;
        left -= (size_t)written;
    }
    return STAGELINE_DONE;
}

static void component_free(void *component) {
    close(((sink *)component)->file);
    free(component);
}

static const stageline_attribute ATTRIBUTES[] = {
    {.name = "path", .doc = "The file.", .kind = STAGELINE_ATTRIBUTE_TEXT, .required = 1},
};

static const stageline_plugin PLUGIN = {
    STAGELINE_PLUGIN_HEAD,
    .kind = STAGELINE_KIND_SINK,
    .attributes = ATTRIBUTES,
    .attribute_count = 1,
    .name = "unsteady",
    .version = "1.0",
    .summary = "Appends lines to a file, and fails now and then",
    .factory_new = factory_new,
    .factory_set_attribute = factory_set_attribute,
    .factory_pool_size = factory_pool_size,
    .factory_free = free,
    .component_new = component_new,
    .component_handle = component_handle,
    .component_free = component_free,
};

const stageline_plugin *stageline_component_plugin(void) {
    return &PLUGIN;
}

// A transform in C: ASCII letters in upper case, behind a prefix.
//
//     cc -O2 -shared -fPIC -I crates/component/include -o build/upper.so examples/plugins/upper.c

#include "stageline_component.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX_MAX 64

// One for each place in a pipeline; its components only read it.
typedef struct {
    char prefix[PREFIX_MAX];
    size_t prefix_len;
} upper;

static void *factory_new(char *error, size_t error_size) {
    upper *made = calloc(1, sizeof *made);
    if (made == NULL) {
        snprintf(error, error_size, "no memory");
    }
    return made;
}

static int32_t factory_set_attribute(void *factory, const char *name, const char *value, size_t value_len,
                                     char *error, size_t error_size) {
    upper *made = factory;
    (void)name; // There is one attribute, and the host lets no other pass.
    if (value_len > PREFIX_MAX) {
        snprintf(error, error_size, "expected at most %d bytes", PREFIX_MAX);
        return STAGELINE_FAILED;
    }
    memcpy(made->prefix, value, value_len);
    made->prefix_len = value_len;
    return STAGELINE_OK;
}

static void *component_new(void *factory, char *error, size_t error_size) {
    (void)error;
    (void)error_size;
    return factory; // Which stays until its components are freed.
}

static uint32_t component_handle(void *component, stageline_message *message) {
    const upper *made = component;
    const size_t len = message->data.len;
    if (message->host->reserve(message, made->prefix_len) != STAGELINE_OK) {
        message->host->describe(message, "no room for the prefix");
        return STAGELINE_FAIL;
    }
    unsigned char *data = message->data.data;
    memmove(data + made->prefix_len, data, len);
    memcpy(data, made->prefix, made->prefix_len);
    message->data.len = len + made->prefix_len;
    for (size_t at = made->prefix_len; at < message->data.len; at++) {
        if (data[at] >= 'a' && data[at] <= 'z') {
            data[at] = (unsigned char)(data[at] - 'a' + 'A');
        }
    }
    return STAGELINE_DONE;
}

static void component_free(void *component) {
    (void)component;
}

static const stageline_attribute ATTRIBUTES[] = {
    {.name = "prefix", .doc = "What is put before the data, at most 64 bytes.", .default_value = "",
     .kind = STAGELINE_ATTRIBUTE_TEXT},
};

static const stageline_plugin PLUGIN = {
    STAGELINE_PLUGIN_HEAD,
    .kind = STAGELINE_KIND_TRANSFORM,
    .attributes = ATTRIBUTES,
    .attribute_count = 1,
    .name = "upper",
    .version = "1.0",
    .summary = "ASCII letters in upper case",
    .factory_new = factory_new,
    .factory_set_attribute = factory_set_attribute,
    .factory_free = free,
    .component_new = component_new,
    .component_handle = component_handle,
    .component_free = component_free,
};

const stageline_plugin *stageline_component_plugin(void) {
    return &PLUGIN;
}

// A component that puts letters of ASCII in upper case.
//
//     cc -O2 -shared -fPIC -o NAME/NAME.so NAME/NAME.c

#include "stageline_component.h"

#include <stddef.h>

// There is nothing to keep; what is not null is a factory, or a component.
static char something;

static void *factory_new(char *error, size_t error_size) {
    (void)error;
    (void)error_size;
    return &something;
}

static void *component_new(void *factory, char *error, size_t error_size) {
    (void)error;
    (void)error_size;
    return factory;
}

static uint32_t component_handle(void *component, stageline_message *message) {
    (void)component;
    for (size_t at = 0; at < message->data.len; at++) {
        if (message->data.data[at] >= 'a' && message->data.data[at] <= 'z') {
            message->data.data[at] = (unsigned char)(message->data.data[at] - 'a' + 'A');
        }
    }
    return STAGELINE_DONE;
}

static void nothing_to_free(void *made) {
    (void)made;
}

static const stageline_plugin PLUGIN = {
    STAGELINE_PLUGIN_HEAD,
    .kind = STAGELINE_KIND_TRANSFORM,
    .name = "NAME",
    .version = "0.1.0",
    .summary = "Letters in upper case",
    .factory_new = factory_new,
    .factory_free = nothing_to_free,
    .component_new = component_new,
    .component_handle = component_handle,
    .component_free = nothing_to_free,
};

const stageline_plugin *stageline_component_plugin(void) {
    return &PLUGIN;
}

// The least that a component can do: nothing, or with READ look at a byte of the data.

#include "stageline_component.h"

static char it;

static void *made(char *error, size_t size) {
    (void)error, (void)size;
    return &it;
}

static void *component_new(void *factory, char *error, size_t size) {
    (void)error, (void)size;
    return factory;
}

static uint32_t component_handle(void *component, stageline_message *message) {
    (void)component;
#ifdef READ
    return message->data.len > 0 && message->data.data[0] == 'x' ? STAGELINE_DROP : STAGELINE_DONE;
#else
    (void)message;
    return STAGELINE_DONE;
#endif
}

static void freed(void *what) {
    (void)what;
}

static const stageline_plugin PLUGIN = {
    STAGELINE_PLUGIN_HEAD,
    .kind = STAGELINE_KIND_TRANSFORM,
    .name = "cost",
    .version = "1",
    .factory_new = made,
    .factory_free = freed,
    .component_new = component_new,
    .component_handle = component_handle,
    .component_free = freed,
};

const stageline_plugin *stageline_component_plugin(void) {
    return &PLUGIN;
}

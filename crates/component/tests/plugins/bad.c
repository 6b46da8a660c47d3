// A transform that does nothing, with one thing wrong: the one that a test defines.

#include "stageline_component.h"

#include <string.h>

#ifndef VERSION
#define VERSION STAGELINE_ABI_VERSION
#endif
#ifndef SIZE
#define SIZE sizeof(stageline_plugin)
#endif
#ifndef MESSAGE_SIZE
#define MESSAGE_SIZE sizeof(stageline_message)
#endif
#ifndef BUFFER_SIZE
#define BUFFER_SIZE sizeof(stageline_buffer)
#endif
#ifndef KIND
#define KIND STAGELINE_KIND_TRANSFORM
#endif
#ifndef NAME
#define NAME "bad"
#endif
#ifndef ATTRIBUTES
#define ATTRIBUTES attributes
#endif
#ifndef ATTRIBUTE_KIND
#define ATTRIBUTE_KIND STAGELINE_ATTRIBUTE_TEXT
#endif
#ifndef ATTRIBUTE_NAME
#define ATTRIBUTE_NAME "text"
#endif
#ifndef DEFAULT
#define DEFAULT NULL
#endif
#ifndef STATUS
#define STATUS STAGELINE_DONE
#endif
#ifndef FACTORY_NEW
#define FACTORY_NEW made
#endif
#ifndef FACTORY_SET
#define FACTORY_SET set
#endif
#ifndef COMPONENT_HANDLE
#define COMPONENT_HANDLE handle
#endif
#ifndef COMPONENT_NEW
#define COMPONENT_NEW component
#endif
#ifndef SETTLED
#define SETTLED NULL
#endif
#ifndef TABLE
#define TABLE &plugin
#endif

static char it;

static void *made(char *error, size_t size) {
    (void)error, (void)size;
    return &it;
}

static inline void *not_made(char *error, size_t size) {
    (void)error, (void)size;
    return NULL;
}

// An error of all the room, without the zero byte that it should have.
static inline void *without_end(char *error, size_t size) {
    memset(error, 'e', size);
    return NULL;
}

static int32_t set(void *f, const char *name, const char *value, size_t len, char *error, size_t size) {
    (void)f, (void)name, (void)value, (void)len, (void)error, (void)size;
    return STAGELINE_OK;
}

static void *component(void *factory, char *error, size_t size) {
    (void)error, (void)size;
    return factory;
}

static inline void *no_component(void *factory, char *error, size_t size) {
    (void)factory;
    strncpy(error, "not today", size);
    return NULL;
}

static inline uint32_t handle(void *component, stageline_message *message) {
    (void)component;
    message->description_len = 100000;
    return STATUS;
}

static inline void settled(void *told, uint64_t number, uint32_t status, const uint8_t *text, size_t len) {
    (void)told, (void)number, (void)status, (void)text, (void)len;
}

static void freed(void *what) {
    (void)what;
}

static const stageline_attribute attributes[] = {
    {.name = ATTRIBUTE_NAME, .kind = ATTRIBUTE_KIND, .default_value = DEFAULT},
};

static const stageline_plugin plugin = {
    .abi_version = VERSION,
    .struct_size = SIZE,
    .message_size = MESSAGE_SIZE,
    .buffer_size = BUFFER_SIZE,
    .kind = KIND,
    .name = NAME,
    .version = "1",
    .attributes = ATTRIBUTES,
    .attribute_count = 1,
    .factory_new = FACTORY_NEW,
    .factory_set_attribute = FACTORY_SET,
    .factory_free = freed,
    .component_new = COMPONENT_NEW,
    .component_handle = COMPONENT_HANDLE,
    .component_free = freed,
    .acknowledger_settled = SETTLED,
};

#ifndef NO_SYMBOL
const stageline_plugin *stageline_component_plugin(void) {
    (void)attributes, (void)plugin, (void)made, (void)set, (void)component;
    return TABLE;
}
#else
const void *another(void) {
    return TABLE;
}
#endif

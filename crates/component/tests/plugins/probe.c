// A source that is a transform, too: it uses all that the host offers, and answers with 200 and the number of the check
// that failed. What it makes is counted, and must be freed in its order.

#include "stageline_component.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(number, holds)         \
    do {                             \
        if (!(holds)) {              \
            return 200 + (number);   \
        }                            \
    } while (0)

typedef struct {
    int made; // What the factory has made and is not freed.
    char log[256];
} factory;

static void *factory_new(char *error, size_t size) {
    (void)error, (void)size;
    return calloc(1, sizeof(factory));
}

static int32_t factory_set_attribute(void *it, const char *name, const char *value, size_t len, char *error,
                                     size_t size) {
    factory *made = it;
    (void)error, (void)size;
    if (strlen(value) > len) {
        return STAGELINE_FAILED;
    }
    size_t end = strlen(made->log);
    snprintf(made->log + end, sizeof made->log - end, "%s=%s;", name, value);
    return STAGELINE_OK;
}

// Refuses, with all that was set as the reason, if it is told to.
static int32_t factory_prepare(void *it, char *error, size_t size) {
    factory *made = it;
    if (strstr(made->log, "text=tell;") == NULL) {
        return STAGELINE_OK;
    }
    snprintf(error, size, "%s", made->log);
    return STAGELINE_FAILED;
}

static size_t factory_pool_size(void *it) {
    (void)it;
    return 3;
}

static void factory_free(void *it) {
    factory *made = it;
    if (made->made != 0) {
        fprintf(stderr, "the factory was freed before what it made\n");
        abort();
    }
    free(made);
}

static void *thing_new(void *it, char *error, size_t size) {
    factory *made = it;
    (void)error, (void)size;
    __atomic_add_fetch(&made->made, 1, __ATOMIC_SEQ_CST);
    return made;
}

static void thing_free(void *it) {
    factory *made = it;
    __atomic_sub_fetch(&made->made, 1, __ATOMIC_SEQ_CST);
}

static int attributes_work(stageline_message *message) {
    const stageline_host *host = message->host;
    const uint8_t *name, *value;
    size_t name_len, len;
    CHECK(1, host->attribute(message, "from", &value, &len) == 1 && len == 4 && memcmp(value, "rust", 4) == 0);
    CHECK(2, host->attribute(message, "none", &value, &len) == 0);
    CHECK(3, host->attribute(message, NULL, &value, &len) == 0);
    CHECK(4, host->set_attribute(message, "c", (const uint8_t *)"1", 1) == STAGELINE_OK);
    CHECK(5, host->set_attribute(message, "\xff", NULL, 0) == STAGELINE_INVALID);
    CHECK(6, host->set_attribute(message, "big", value, STAGELINE_ATTRIBUTES_MAX) == STAGELINE_TOO_LARGE);
    CHECK(7, host->set_attribute(message, "empty", NULL, 0) == STAGELINE_OK);
    CHECK(8, host->attribute_at(message, 1, &name, &name_len, &value, &len) == 1);
    CHECK(9, name_len == 1 && *name == 'c' && len == 1 && *value == '1');
    CHECK(10, host->attribute_at(message, 3, &name, &name_len, &value, &len) == 0);
    CHECK(11, host->remove_attribute(message, "empty") == 1 && host->remove_attribute(message, "empty") == 0);
    return 0;
}

static int data_works(stageline_message *message) {
    const stageline_host *host = message->host;
    CHECK(20, message->data.len == 5 && memcmp(message->data.data, "hello", 5) == 0);
    CHECK(21, host->append_data(message, (const uint8_t *)", world", 7) == STAGELINE_OK);
    CHECK(22, message->data.len == 12 && memcmp(message->data.data, "hello, world", 12) == 0);
    CHECK(23, host->reserve(message, message->data.max - 12) == STAGELINE_OK);
    CHECK(24, message->data.capacity >= message->data.max);
    CHECK(25, host->reserve(message, message->data.max - 11) == STAGELINE_TOO_LARGE);
    CHECK(26, host->set_data(message, message->data.data, message->data.max + 1) == STAGELINE_TOO_LARGE);
    CHECK(27, host->set_data(message, NULL, 0) == STAGELINE_OK && message->data.len == 0);
    CHECK(28, host->set_data(message, (const uint8_t *)"bye", 3) == STAGELINE_OK);
    CHECK(29, message->data.grow(&message->data, message->data.max + 1) != 0);
    CHECK(30, message->data.grow(&message->data, message->data.max) == 0);
    return 0;
}

static uint32_t component_handle(void *it, stageline_message *message) {
    const stageline_host *host = message->host;
    (void)it;
    CHECK(40, host->struct_size == sizeof *host && host->abi_version == STAGELINE_ABI_VERSION);
    CHECK(41, message->attempt == 3 && message->flush == 2 && message->held == 7 && message->status == 105);
    int failed = attributes_work(message);
    failed = failed != 0 ? failed : data_works(message);
    if (failed != 0) {
        return (uint32_t)failed;
    }
    host->describe(message, NULL);
    CHECK(42, message->description_len == 0);
    host->describe(message, "all of it \xff works");
    host->lead(message);
    return host->hold_for(message, 5000000);
}

static int32_t component_close(void *it, char *error, size_t size) {
    (void)it;
    snprintf(error, size, "%0*d", (int)size + 100, 1);
    return STAGELINE_FAILED;
}

static int32_t fill(void *context, stageline_message *message) {
    const char *text = context;
    if (message->data.len != 0) {
        return STAGELINE_FAILED;
    }
    message->host->set_attribute(message, "by", (const uint8_t *)"fill", 4);
    return message->host->set_data(message, (const uint8_t *)text, strlen(text));
}

// Emits what the emitter takes, and says in its error what came of it.
static int32_t source_run(void *it, stageline_emitter *out, char *error, size_t size) {
    uint64_t first = 9, second = 9;
    (void)it;
    int32_t codes[5];
    codes[0] = out->emit(out, fill, "filled", &first);
    codes[1] = out->emit(out, fill, "more than the ten bytes of a message", NULL);
    codes[2] = out->emit(out, NULL, NULL, NULL);
    codes[3] = out->emit_data(out, (const uint8_t *)"data", 4, &second);
    int before = out->is_stopping(out);
    codes[4] = out->emit_data(out, (const uint8_t *)"data", 4, NULL);
    snprintf(error, size, "%d %d %d %d %d; %d %d; %d %d", codes[0], codes[1], codes[2], codes[3], codes[4], (int)first,
             (int)second, before, out->is_stopping(out));
    return STAGELINE_FAILED;
}

static void acknowledger_settled(void *it, uint64_t number, uint32_t status, const uint8_t *text, size_t len) {
    factory *made = it;
    size_t end = strlen(made->log);
    snprintf(made->log + end, sizeof made->log - end, "%d:%d:%.*s;", (int)number, (int)status, (int)len, text);
}

static void *acknowledger_new(void *it) {
    return thing_new(it, NULL, 0);
}

static const char *const CHOICES[] = {"one", "two"};

static const stageline_attribute ATTRIBUTES[] = {
    {.name = "text", .kind = STAGELINE_ATTRIBUTE_TEXT, .doc = "A text."},
    {.name = "integer", .kind = STAGELINE_ATTRIBUTE_INTEGER, .default_value = "7"},
    {.name = "number", .kind = STAGELINE_ATTRIBUTE_NUMBER},
    {.name = "boolean", .kind = STAGELINE_ATTRIBUTE_BOOLEAN},
    {.name = "duration", .kind = STAGELINE_ATTRIBUTE_DURATION},
    {.name = "size", .kind = STAGELINE_ATTRIBUTE_SIZE, .default_value = "1KiB"},
    {.name = "list", .kind = STAGELINE_ATTRIBUTE_LIST},
    {.name = "map", .kind = STAGELINE_ATTRIBUTE_MAP},
    {.name = "choice", .kind = STAGELINE_ATTRIBUTE_ONE_OF, .choices = CHOICES, .choice_count = 2},
    {.name = "needed", .kind = STAGELINE_ATTRIBUTE_BOOLEAN, .required = 1},
};

static const stageline_plugin PLUGIN = {
    STAGELINE_PLUGIN_HEAD,
    .kind = STAGELINE_KIND_SOURCE,
    .attributes = ATTRIBUTES,
    .attribute_count = sizeof ATTRIBUTES / sizeof *ATTRIBUTES,
    .name = "probe",
    .version = "2.5",
    .summary = "Uses all that there is",
    .doc = "Long.",
    .factory_new = factory_new,
    .factory_set_attribute = factory_set_attribute,
    .factory_prepare = factory_prepare,
    .factory_pool_size = factory_pool_size,
    .factory_free = factory_free,
    .component_new = thing_new,
    .component_handle = component_handle,
    .component_close = component_close,
    .component_free = thing_free,
    .source_new = thing_new,
    .source_run = source_run,
    .source_free = thing_free,
    .acknowledger_new = acknowledger_new,
    .acknowledger_settled = acknowledger_settled,
    .acknowledger_free = thing_free,
};

const stageline_plugin *stageline_component_plugin(void) {
    return &PLUGIN;
}

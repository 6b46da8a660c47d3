// The C interface of stageline's components. Made by cbindgen: change src/abi.rs and cbindgen.toml, not this file.
//
// A plugin is a shared object that links against nothing and exports one symbol:
//
//     const stageline_plugin *stageline_component_plugin(void);
//
// 1. The host reads `abi_version` first, then the sizes, and nothing else unless all of them are its own.
// 2. The table and all that it points at stay as they are for ever; a plugin is never unloaded.
// 3. The calls of one factory come one after another, on any thread. Those of one component, too: `component_new` and
//    `component_handle` on the thread that runs it, `component_close` and `component_free` afterwards.
// 4. `source_run` has a thread of its own, on which its emitter is used and nowhere else. What acknowledges is called
//    on another thread meanwhile. What fills a message does not use the emitter.
// 5. `factory_free` comes last, after all that the factory has made is freed.
// 6. A message belongs to the component from the call of `component_handle` until it returns.
// 7. No exception leaves a function: one that does ends the process. In C++ `stageline_guarded` makes an error of it.
// 8. A text is UTF-8 and ends with a zero byte, unless a length stands beside it. An error is written with its zero
//    byte into the `error_size` bytes at `error`, and cut off where it is longer.
//
// The constants are named without their STAGELINE_ in what is said of fields and functions.

#ifndef STAGELINE_COMPONENT_H
#define STAGELINE_COMPONENT_H

#include <stddef.h>
#include <stdint.h>

struct stageline_message;
struct stageline_emitter;


// How many bytes a description has at most.
#define STAGELINE_DESCRIPTION_MAX 120

// How many bytes the attributes of a message have at most: names, values, and 8 bytes for each.
#define STAGELINE_ATTRIBUTES_MAX (64 * 1024)

// The version of this interface. It changes with any field of any struct.
#define STAGELINE_ABI_VERSION 2

// How many bytes the host gives a plugin for an error.
#define STAGELINE_ERROR_MAX 512

// It went well.
#define STAGELINE_OK 0

// There would be more bytes than there may be.
#define STAGELINE_TOO_LARGE 1

// A name that is no UTF-8, or a pointer that is null.
#define STAGELINE_INVALID 2

// The run ends: the source is to return.
#define STAGELINE_STOPPING 3

// It did not go well, and the error text says why.
#define STAGELINE_FAILED 4

// It produces messages.
#define STAGELINE_KIND_SOURCE 1

// It changes them.
#define STAGELINE_KIND_TRANSFORM 2

// It takes them elsewhere.
#define STAGELINE_KIND_SINK 3

// Text.
#define STAGELINE_ATTRIBUTE_TEXT 1

// A whole number of 64 bits, in decimal.
#define STAGELINE_ATTRIBUTE_INTEGER 2

// A number, in decimal.
#define STAGELINE_ATTRIBUTE_NUMBER 3

// `true` or `false`.
#define STAGELINE_ATTRIBUTE_BOOLEAN 4

// A time, in nanoseconds: `250000000ns`.
#define STAGELINE_ATTRIBUTE_DURATION 5

// A number of bytes, in decimal.
#define STAGELINE_ATTRIBUTE_SIZE 6

// Texts, each with a line feed behind it.
#define STAGELINE_ATTRIBUTE_LIST 7

// Names and texts, each pair as `name=text` with a line feed behind it.
#define STAGELINE_ATTRIBUTE_MAP 8

// One of the texts in `choices`.
#define STAGELINE_ATTRIBUTE_ONE_OF 9

// The next component gets the message.
#define STAGELINE_DONE 0

// The component keeps the message and waits for more.
#define STAGELINE_CONTINUE 1

// The message is handled again, later: 100 to 199.
#define STAGELINE_RETRY 100

// The message has failed: 200 to 299.
#define STAGELINE_FAIL 200

// The message is dropped: 300 and above.
#define STAGELINE_DROP 300

// One attribute of a component.
typedef struct stageline_attribute {
    // What scripts call it.
    const char *name;
    // What it is for.
    const char *doc;
    // The value that it has if none is set, written as in a script; or null.
    const char *default_value;
    // The texts of ATTRIBUTE_ONE_OF; null for the others.
    const char *const *choices;
    // How many choices there are.
    uint32_t choice_count;
    // What its values are: one of the ATTRIBUTE constants.
    uint32_t kind;
    // Whether a value must be set: 1 or 0.
    uint32_t required;
} stageline_attribute;

// What a plugin may do with a message beside reading its fields. Each message points at it.
typedef struct stageline_host {
    // The size of this struct.
    uint32_t struct_size;
    // The version of the interface that the host has.
    uint32_t abi_version;
    // Puts `len` bytes in place of the message's data. OK or TOO_LARGE, which changes nothing.
    int32_t (*set_data)(struct stageline_message *message, const uint8_t *data, size_t len);
    // Appends `len` bytes to the message's data. OK or TOO_LARGE, which changes nothing.
    int32_t (*append_data)(struct stageline_message *message, const uint8_t *data, size_t len);
    // Makes room for `additional` bytes behind the data, whose place may change. OK or TOO_LARGE.
    int32_t (*reserve)(struct stageline_message *message, size_t additional);
    // Finds an attribute: 1 and its value, which stays until an attribute is changed, or 0.
    int32_t (*attribute)(const struct stageline_message *message, const char *name, const uint8_t **value, size_t *len);
    // Sets an attribute. OK, TOO_LARGE, which changes nothing, or INVALID.
    int32_t (*set_attribute)(struct stageline_message *message, const char *name, const uint8_t *value, size_t len);
    // Removes an attribute: 1 if there was one, else 0.
    int32_t (*remove_attribute)(struct stageline_message *message, const char *name);
    // Walks the attributes: 1, the one of this index (from 0), and its name without a zero byte; or 0 at the end.
    int32_t (*attribute_at)(const struct stageline_message *message,
                            size_t index,
                            const uint8_t **name,
                            size_t *name_len,
                            const uint8_t **value,
                            size_t *len);
    // Says something about the report that follows, in as many bytes as a description has.
    void (*describe)(struct stageline_message *message, const char *text);
    // The answer CONTINUE, for a message that is to be kept no longer than this.
    uint32_t (*hold_for)(struct stageline_message *message, uint64_t nanoseconds);
    // The messages that the component holds are settled together with this one, by the report that follows.
    void (*lead)(struct stageline_message *message);
} stageline_host;

// Bytes that grow up to a limit. The memory belongs to whoever made the buffer, and is kept for the next use.
typedef struct stageline_buffer {
    // The bytes. Never null; of no meaning while the capacity is 0.
    uint8_t *data;
    // How many bytes there are.
    size_t len;
    // How many bytes there is memory for.
    size_t capacity;
    // How many bytes there may be.
    size_t max;
    // Makes the capacity at least as large as is said, keeping the bytes; 0 if it did, else nothing has changed.
    int32_t (*grow)(struct stageline_buffer *buffer, size_t capacity);
    // Gives the memory back, after which the buffer is empty. For who made the buffer.
    void (*free)(struct stageline_buffer *buffer);
} stageline_buffer;

// A message on its way through a pipeline. It lives in a slot that is used again, with the memory that it has.
//
// A component may do with it what it likes while it handles it, and must not touch it after it has answered.
typedef struct stageline_message {
    // What a plugin may do with the message.
    const struct stageline_host *host;
    // What the message says.
    struct stageline_buffer data;
    // How often this component is called with this message, this time included, since it got it; from 1.
    uint32_t attempt;
    // Why a message comes again that the component holds: 1 by age, 2 at the end of the run; 0 for another call.
    uint32_t flush;
    // How many messages this instance of the component holds, this one left out unless it comes again.
    size_t held;
    // The status of the last report on the message.
    uint32_t status;
    // Whether the messages that the component holds are settled together with this one: 0 if this one is done, 1
    // whatever the report is, 2 not at all.
    uint32_t led;
    // How long it is to be held at most, in nanoseconds, if the component answers 1. If it answers with a retry, 0 says
    // that it waits for those that are held: they come again now.
    uint64_t hold_at_most_ns;
    // How many bytes of the description there are.
    uint32_t description_len;
    // Names and values, packed. For the functions alone.
    struct stageline_buffer attributes;
    // What there is to say about the report, in UTF-8.
    uint8_t description[STAGELINE_DESCRIPTION_MAX];
} stageline_message;

// Fills an empty message that is to be emitted: OK, or anything else to emit nothing.
typedef int32_t (*stageline_fill)(void *context, struct stageline_message *message);

// Where a source puts its messages.
typedef struct stageline_emitter {
    // The host's own.
    void *context;
    // Waits until there is room for a message, has it filled by `fill` with `fill_context`, and sends it on its
    // way: OK, TOO_LARGE if the filling was not OK, or STOPPING. Its number goes to `number`, if that is not null.
    int32_t (*emit)(struct stageline_emitter *emitter, stageline_fill fill, void *fill_context, uint64_t *number);
    // Emits a message with these bytes and no attributes, as `emit` does.
    int32_t (*emit_data)(struct stageline_emitter *emitter, const uint8_t *data, size_t len, uint64_t *number);
    // Whether the source is to return soon: 1 or 0. One that waits for input asks every 100 ms or so.
    int32_t (*is_stopping)(const struct stageline_emitter *emitter);
} stageline_emitter;

// What a plugin is. Functions that are said to be for one kind may be null in the others.
typedef struct stageline_plugin {
    // ABI_VERSION.
    uint32_t abi_version;
    // The size of this struct.
    uint32_t struct_size;
    // The size of a message.
    uint32_t message_size;
    // The size of a buffer.
    uint32_t buffer_size;
    // One of the KIND constants.
    uint32_t kind;
    // How many attributes there are.
    uint32_t attribute_count;
    // The attributes; null where there are none.
    const struct stageline_attribute *attributes;
    // What scripts call the component.
    const char *name;
    // The version of the plugin.
    const char *version;
    // What it does, in a line; or null.
    const char *summary;
    // All that there is to say, in Markdown; or null.
    const char *doc;
    // Makes a factory, for one place in a pipeline; null with an error if it cannot.
    void *(*factory_new)(char *error, size_t error_size);
    // Sets an attribute, to a text in the form of its kind; OK or FAILED. Defaults are set, too. Null where there
    // are no attributes.
    int32_t (*factory_set_attribute)(void *factory,
                                     const char *name,
                                     const char *value,
                                     size_t value_len,
                                     char *error,
                                     size_t error_size);
    // All attributes are set; OK or FAILED. May be null.
    int32_t (*factory_prepare)(void *factory, char *error, size_t error_size);
    // How many threads of their own run components that block; 0 if they do not block. May be null.
    size_t (*factory_pool_size)(void *factory);
    // Frees a factory.
    void (*factory_free)(void *factory);
    // Makes a component; null with an error if it cannot. For transforms and sinks, as all of component.
    void *(*component_new)(void *factory, char *error, size_t error_size);
    // Handles a message, and answers with the status of a report.
    uint32_t (*component_handle)(void *component, struct stageline_message *message);
    // The run ends; OK or FAILED. May be null.
    int32_t (*component_close)(void *component, char *error, size_t error_size);
    // Frees a component.
    void (*component_free)(void *component);
    // Makes a source; null with an error if it cannot. For sources, as all that follows.
    void *(*source_new)(void *factory, char *error, size_t error_size);
    // Emits messages until there are no more or the emitter is stopping; OK or FAILED.
    int32_t (*source_run)(void *source, struct stageline_emitter *emitter, char *error, size_t error_size);
    // Frees a source.
    void (*source_free)(void *source);
    // Makes what is told when the journey of a message is over; null for nothing. Called once, before the run. May
    // be null, together with the two that follow.
    void *(*acknowledger_new)(void *source);
    // The message of this number was settled with this status.
    void (*acknowledger_settled)(void *acknowledger,
                                 uint64_t number,
                                 uint32_t status,
                                 const uint8_t *description,
                                 size_t description_len);
    // Frees what is told.
    void (*acknowledger_free)(void *acknowledger);
} stageline_plugin;

// The first fields of a plugin's table: `{ STAGELINE_PLUGIN_HEAD, STAGELINE_KIND_TRANSFORM, .. }`.
#define STAGELINE_PLUGIN_HEAD \
    STAGELINE_ABI_VERSION, sizeof(stageline_plugin), sizeof(stageline_message), sizeof(stageline_buffer)

#ifdef __cplusplus
extern "C" {
#endif

// What a plugin exports.
#ifdef _WIN32
__declspec(dllexport)
#elif defined(__GNUC__)
__attribute__((visibility("default")))
#endif
const stageline_plugin *stageline_component_plugin(void);

#ifdef __cplusplus
}

#include <cstdio>
#include <exception>

// Calls what may throw. An exception becomes a text in the room for it, and this answer:
//
//     static int32_t factory_prepare(void *factory, char *error, size_t error_size) {
//         return stageline_guarded(error, error_size, int32_t{STAGELINE_FAILED}, [&] { .. });
//     }
template <typename Answer, typename Call>
Answer stageline_guarded(char *error, size_t error_size, Answer failed, Call call) noexcept {
    try {
        return call();
    } catch (const std::exception &thrown) {
        std::snprintf(error, error_size, "threw: %s", thrown.what());
    } catch (...) {
        std::snprintf(error, error_size, "threw what is no std::exception");
    }
    return failed;
}

// The same in `component_handle`: the message fails, and what the component holds with it, as after a panic in Rust.
template <typename Call>
uint32_t stageline_guarded(stageline_message *message, Call call) noexcept {
    char text[STAGELINE_DESCRIPTION_MAX + 1] = "";
    const uint32_t threw = UINT32_MAX;
    const uint32_t status = stageline_guarded(text, sizeof text, threw, call);
    if (status != threw) {
        return status;
    }
    message->host->describe(message, text);
    message->host->lead(message);
    return STAGELINE_FAIL;
}
#endif

#endif // STAGELINE_COMPONENT_H

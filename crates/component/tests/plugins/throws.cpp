// A transform in C++ that throws where its attribute says; there only what throws is guarded.

#include "stageline_component.h"

#include <stdexcept>
#include <string>

namespace {

struct throws {
    std::string at;
    uint64_t held = 0;

    void reach(const char *place) const {
        if (at == place) {
            throw std::runtime_error(std::string("at ") + place);
        }
        if (at == std::string(place) + " an int") {
            throw 7;
        }
    }
};

void *factory_new(char *, size_t) { return new throws; }

int32_t factory_set_attribute(void *factory, const char *, const char *value, size_t value_len, char *error,
                              size_t error_size) {
    return stageline_guarded(error, error_size, int32_t{STAGELINE_FAILED}, [&] {
        throws *made = static_cast<throws *>(factory);
        made->at.assign(value, value_len);
        made->reach("set");
        return int32_t{STAGELINE_OK};
    });
}

int32_t factory_prepare(void *factory, char *error, size_t error_size) {
    return stageline_guarded(error, error_size, int32_t{STAGELINE_FAILED}, [&] {
        static_cast<throws *>(factory)->reach("prepare");
        return int32_t{STAGELINE_OK};
    });
}

void factory_free(void *factory) { delete static_cast<throws *>(factory); }

void *component_new(void *factory, char *error, size_t error_size) {
    return stageline_guarded(error, error_size, static_cast<void *>(nullptr), [&]() -> void * {
        const throws *made = static_cast<throws *>(factory);
        made->reach("component");
        return new throws(*made);
    });
}

uint32_t component_handle(void *component, stageline_message *message) {
    return stageline_guarded(message, [&]() -> uint32_t {
        throws *made = static_cast<throws *>(component);
        if (made->held++ == 0) {
            return STAGELINE_CONTINUE;
        }
        made->reach("handle");
        return STAGELINE_DONE;
    });
}

int32_t component_close(void *component, char *error, size_t error_size) {
    return stageline_guarded(error, error_size, int32_t{STAGELINE_FAILED}, [&] {
        static_cast<throws *>(component)->reach("close");
        return int32_t{STAGELINE_OK};
    });
}

void component_free(void *component) { delete static_cast<throws *>(component); }

stageline_plugin made() {
    static const stageline_attribute attributes[] = {
        {"at", "Where it throws.", nullptr, nullptr, 0, STAGELINE_ATTRIBUTE_TEXT, 0},
    };
    stageline_plugin plugin = {STAGELINE_PLUGIN_HEAD};
    plugin.kind = STAGELINE_KIND_TRANSFORM;
    plugin.attributes = attributes;
    plugin.attribute_count = 1;
    plugin.name = "throws";
    plugin.version = "1.0";
    plugin.summary = "Throws";
    plugin.doc = "";
    plugin.factory_new = factory_new;
    plugin.factory_set_attribute = factory_set_attribute;
    plugin.factory_prepare = factory_prepare;
    plugin.factory_free = factory_free;
    plugin.component_new = component_new;
    plugin.component_handle = component_handle;
    plugin.component_close = component_close;
    plugin.component_free = component_free;
    return plugin;
}

} // namespace

const stageline_plugin *stageline_component_plugin(void) {
    static const stageline_plugin plugin = made();
    return &plugin;
}

---@meta stageline
-- Made by `stageline components --lua-types`; not to be run.

---A component, which stands in one place of a pipeline.
---@class stageline.Component

---A message, in a function that handles it.
---@class stageline.Message
---@field data string
---@field attempt integer
---@field held integer
---@field flush "age"|"drain"|nil
local message = {}

---@param name string
---@return string?
function message:get(name) end

---@param name string
---@param value string?
function message:set(name, value) end

---The message, which must be JSON of at most 127 levels of arrays and objects. Null is `stageline.NULL`, which is true in a condition. Whole numbers from -2^63 to
---2^63 - 1 are integers, and exact; larger ones become floats, as those with a fraction or an exponent are: of 64 bits,
---which keep 15 digits. `data` has all of them. A number that is too large for a float, as `1e400`, is an error.
---@return any
function message:json() end

---A table with elements is written as an array, another one as an object, its fields by name; one that was an empty array
---in `json()` is one again. A field that is nil is none: `stageline.NULL` is null. An error, and the message stays as it
---is, if there is a number that is not finite, a text that is no UTF-8, a function, a table with both elements and names, or
---more than 128 levels.
---@param value any
function message:set_json(value) end

function message:lead() end

---@param time string|number A number is in seconds.
---@return integer status
function message:hold(time) end

---@class stageline.Retry
---@field attempts integer?
---@field first string|number|nil
---@field factor number?
---@field cap string|number|nil
---@field jitter number?

---@class stageline.Route
---@field status integer|integer[]|nil The status of the report, or the first and the last of a range.
---@field when string? An expression in CEL over the message.
---@field has string? The name of an attribute that the message has.
---@field attribute string? The name of an attribute that has the value `equals`.
---@field equals string? See `attribute`.
---@field to string The name of a stage; or `end`, or `fail`.

---@class stageline.Stage
---@field [1] stageline.Component? The component.
---@field component stageline.Component? The component, by name.
---@field name string? What routes call it; that of the component unless set.
---@field routes stageline.Route[]? Where messages go on: the first route that holds.
---@field otherwise string? Where those go for which no route holds: to the next stage unless set.
---@field retry stageline.Retry? How messages are retried here.
---@field to string? For a source: the stage that its messages go to.

---@class stageline.Pipeline
---@field name string? What it is called.
---@field workers integer? Threads that run what computes: as many as there are CPUs, less one, unless set.
---@field cores integer[]? The CPUs that they are pinned to.
---@field order "completion"|"submission"|nil In which messages are settled with their source; as they are done unless set.
---@field window integer? The messages in flight of each source: a power of two, 4096 unless set.
---@field wait "park"|"yield"|"spin"|nil What threads do that have nothing to do: sleep, unless set.
---@field message_capacity string|integer|nil The bytes that a message has memory for at the start: 512 unless set.
---@field message_max string|integer|nil The bytes that a message may have: 16 MiB unless set.
---@field retry stageline.Retry? How messages are retried where the stage says nothing else.
---@field on_failure "continue"|"stop"|nil Whether a message that fails ends the run.
---@field dag boolean? No message may come to a stage twice.
---@field drain_at_most string|number|nil How long the end may take after a signal or a failure that ends the run.
---@field source stageline.Component? Where messages come from.
---@field sources (stageline.Component|stageline.Stage)[]? Where they come from, with `to` for where they go.
---@field stages (stageline.Component|stageline.Stage)[]? What handles them, in order.
---@field sinks (stageline.Component|stageline.Stage)[]? What takes them, behind the stages.
---@field dead_letter stageline.Component|stageline.Component[]|nil Gets what has failed, one component after the other, with the attributes `error.stage`, `error.status` and `error.text`.
---@field [integer] stageline.Component|stageline.Stage

---@class stageline
---@field DONE integer
---@field CONTINUE integer
---@field RETRY integer
---@field FAIL integer
---@field DROP integer
---@field NULL lightuserdata What null is in the JSON of a message.
local stageline = {}

---@param pipeline stageline.Pipeline
function stageline.pipeline(pipeline) end

---@param components stageline.Component[]
function stageline.createPipeline(components) end

---@param path string
---@param attributes table?
---@return stageline.Component
function stageline.plugin(path, attributes) end

---@param name string
---@param attributes table?
---@return stageline.Component
function stageline.component(name, attributes) end

---@param name_or_path string
---@param attributes table?
---@return stageline.Component
function stageline.loadComponent(name_or_path, attributes) end

---@class stageline.attributes.stdin
---@field codec? "lines"|"ndjson"|"csv"|"length_prefixed"|"none" How bytes are parted into messages: `lines` that end with LF or CRLF; `ndjson`, lines of which empty ones are skipped; `csv`, records, whose quoted fields may have several lines; `length_prefixed`; `none`, as they are read. A byte order mark of UTF-8 before the first text of `ndjson` or record of `csv` is left out.
---@field length? "u32"|"u16" For `length_prefixed`: the number before each message, big endian.
---@field delimiter? string|number For `csv`: what stands between two fields, one ASCII character.
---@field csv_header? boolean For `csv`: the first record is the header. It is no message; each message has it in the attribute `csv.header`.
---@field message_max? string|number How many bytes a message has at most.
---@field too_large? "skip"|"stop" What becomes of a message that is larger: it is left out, which is said on stderr, or the run ends with an error. The same holds of one that the stream breaks off in.

---Reads messages from the standard input
---@param attributes stageline.attributes.stdin?
---@return stageline.Component
function stageline.stdin(attributes) end

---@class stageline.attributes.file_source
---@field path any[]|string The files: a path, or several. `*`, `?`, `[ab]` and `**` stand for parts of names, unless a file is called so; `[*]`, `[?]` and `[[]` for these signs themselves.
---@field follow? boolean Whether to go on at the ends of the files, and to wait for more, and for more files.
---@field start? "beginning"|"end" Where to begin in the files that are there at the start, if they are followed.
---@field codec? "lines"|"ndjson"|"csv"|"length_prefixed"|"none" How bytes are parted into messages: `lines` that end with LF or CRLF; `ndjson`, lines of which empty ones are skipped; `csv`, records, whose quoted fields may have several lines; `length_prefixed`; `none`, as they are read. A byte order mark of UTF-8 before the first text of `ndjson` or record of `csv` is left out.
---@field length? "u32"|"u16" For `length_prefixed`: the number before each message, big endian.
---@field delimiter? string|number For `csv`: what stands between two fields, one ASCII character.
---@field csv_header? boolean For `csv`: the first record is the header. It is no message; each message has it in the attribute `csv.header`.
---@field message_max? string|number How many bytes a message has at most.
---@field too_large? "skip"|"stop" What becomes of a message that is larger: it is left out, which is said on stderr, or the run ends with an error. The same holds of one that the stream breaks off in.
---@field annotate? boolean Whether each message has attributes that say where it comes from.

---Reads messages from files, and follows them as they grow
---@param attributes stageline.attributes.file_source?
---@return stageline.Component
function stageline.file_source(attributes) end

---@class stageline.attributes.tcp_source
---@field address string|number Where to listen: `127.0.0.1:9000`, `[::]:9000`, `localhost:9000`.
---@field connections_max? integer How many connections there are at most, from 1 to 65536. Others wait until one ends.
---@field codec? "lines"|"ndjson"|"csv"|"length_prefixed"|"none" How bytes are parted into messages: `lines` that end with LF or CRLF; `ndjson`, lines of which empty ones are skipped; `csv`, records, whose quoted fields may have several lines; `length_prefixed`; `none`, as they are read. A byte order mark of UTF-8 before the first text of `ndjson` or record of `csv` is left out.
---@field length? "u32"|"u16" For `length_prefixed`: the number before each message, big endian.
---@field delimiter? string|number For `csv`: what stands between two fields, one ASCII character.
---@field csv_header? boolean For `csv`: the first record is the header. It is no message; each message has it in the attribute `csv.header`.
---@field message_max? string|number How many bytes a message has at most.
---@field too_large? "skip"|"stop" What becomes of a message that is larger: it is left out, which is said on stderr, or the run ends with an error. The same holds of one that the stream breaks off in.
---@field annotate? boolean Whether each message has attributes that say where it comes from.

---Reads messages from connections by TCP
---@param attributes stageline.attributes.tcp_source?
---@return stageline.Component
function stageline.tcp_source(attributes) end

---@class stageline.attributes.udp_source
---@field address string|number Where to receive: `127.0.0.1:9000`, `[::]:9000`.
---@field codec? "lines"|"ndjson"|"csv"|"length_prefixed"|"none" How bytes are parted into messages: `lines` that end with LF or CRLF; `ndjson`, lines of which empty ones are skipped; `csv`, records, whose quoted fields may have several lines; `length_prefixed`; `none`, as they are read. A byte order mark of UTF-8 before the first text of `ndjson` or record of `csv` is left out.
---@field length? "u32"|"u16" For `length_prefixed`: the number before each message, big endian.
---@field delimiter? string|number For `csv`: what stands between two fields, one ASCII character.
---@field csv_header? boolean For `csv`: the first record is the header. It is no message; each message has it in the attribute `csv.header`.
---@field message_max? string|number How many bytes a message has at most.
---@field too_large? "skip"|"stop" What becomes of a message that is larger: it is left out, which is said on stderr, or the run ends with an error. The same holds of one that the stream breaks off in.
---@field annotate? boolean Whether each message has attributes that say where it comes from.

---Receives messages as datagrams by UDP
---@param attributes stageline.attributes.udp_source?
---@return stageline.Component
function stageline.udp_source(attributes) end

---@class stageline.attributes.unix_source
---@field path string|number The file of the socket, which must not be there yet.
---@field kind? "stream"|"datagram" Whether others connect, or send datagrams.
---@field connections_max? integer How many connections there are at most, from 1 to 65536. Others wait until one ends.
---@field codec? "lines"|"ndjson"|"csv"|"length_prefixed"|"none" How bytes are parted into messages: `lines` that end with LF or CRLF; `ndjson`, lines of which empty ones are skipped; `csv`, records, whose quoted fields may have several lines; `length_prefixed`; `none`, as they are read. A byte order mark of UTF-8 before the first text of `ndjson` or record of `csv` is left out.
---@field length? "u32"|"u16" For `length_prefixed`: the number before each message, big endian.
---@field delimiter? string|number For `csv`: what stands between two fields, one ASCII character.
---@field csv_header? boolean For `csv`: the first record is the header. It is no message; each message has it in the attribute `csv.header`.
---@field message_max? string|number How many bytes a message has at most.
---@field too_large? "skip"|"stop" What becomes of a message that is larger: it is left out, which is said on stderr, or the run ends with an error. The same holds of one that the stream breaks off in.

---Reads messages from a Unix socket
---@param attributes stageline.attributes.unix_source?
---@return stageline.Component
function stageline.unix_source(attributes) end

---@class stageline.attributes.generator
---@field count? integer How many messages; without end unless set.
---@field rate? number How many messages a second, from 0.001 to 1e9; as many as the pipeline takes unless set.
---@field template? string|number What each message says. `{n}` stands for its number, which counts from 0.
---@field size? string|number How many bytes each message has at least: shorter ones are filled up with dots.

---Makes up messages, with their number in them
---@param attributes stageline.attributes.generator?
---@return stageline.Component
function stageline.generator(attributes) end

---@class stageline.attributes.attributes
---@field set? table<string, any> Values of attributes: a text is an expression, a number or a boolean a constant.
---@field remove? any[]|string The attributes to remove, before others are set.

---Sets and removes attributes of messages
---@param attributes stageline.attributes.attributes?
---@return stageline.Component
function stageline.attributes(attributes) end

---@class stageline.attributes.batch
---@field count? integer How many messages make a batch, from 1 to 1000000.
---@field bytes? string|number A batch that has so many bytes, separators included, goes on.
---@field age? string|number A batch whose first message is so old goes on.
---@field format? "text"|"json" What a batch is: `text`, the messages with separators between them, or `json`, an array of them.
---@field separator? string|number What stands between two messages of a `text`: LF, unless set. Between those of `json` it is a comma.

---Folds messages into one, which goes on when there are enough of them
---@param attributes stageline.attributes.batch?
---@return stageline.Component
function stageline.batch(attributes) end

---@class stageline.attributes.csv_to_json
---@field header? any[]|string The names of the fields. Without it, each message has them in its attribute `csv.header`.
---@field delimiter? string|number What stands between two fields: one ASCII character.
---@field types? table<string, any> What fields are, by name: `text`, `integer`, `number` or `boolean`.
---@field infer? boolean Whether fields without a type that look like a number of JSON, `true` or `false` are one.
---@field null? any[]|string The texts that stand for no value. Without it, the empty one.
---@field null_as? "null"|"absent" What such a field becomes: null, or none.

---Makes JSON objects of records of comma-separated values
---@param attributes stageline.attributes.csv_to_json?
---@return stageline.Component
function stageline.csv_to_json(attributes) end

---@class stageline.attributes.dedupe
---@field key? string|number An expression, such as a field or `attributes["name"]`, whose value stands for the message. Without it, all that the message says does.
---@field memory? integer How many keys are remembered, from 1 to 100000000; the oldest is forgotten for a new one.
---@field within? string|number How long a key is remembered after its message came. Without it, until there are too many.
---@field threads? integer Runs it on so many threads of its own, from 1 to 256, in place of the workers. With 1 it sees all messages.

---Drops messages whose key came before
---@param attributes stageline.attributes.dedupe?
---@return stageline.Component
function stageline.dedupe(attributes) end

---@class stageline.attributes.gunzip
---@field size_max? string|number How many bytes a message may have when it is decompressed, within what messages may have at all.

---Decompresses messages that are gzip files
---@param attributes stageline.attributes.gunzip?
---@return stageline.Component
function stageline.gunzip(attributes) end

---@class stageline.attributes.gzip
---@field level? integer How hard it tries, from 0, not at all, to 9.

---Compresses each message as a gzip file
---@param attributes stageline.attributes.gzip?
---@return stageline.Component
function stageline.gzip(attributes) end

---@class stageline.attributes.json
---@field filter? string|number A condition: messages for which it is not true are dropped.
---@field rename? table<string, any> New names of fields, by the old ones.
---@field set? table<string, any> Values of fields: a text is an expression, everything else a constant.
---@field remove? any[]|string The fields to remove.
---@field select? any[]|string The fields to keep, in this order. Those that a message does not have are left out.

---Filters JSON objects, and selects, renames, computes or removes their fields
---@param attributes stageline.attributes.json?
---@return stageline.Component
function stageline.json(attributes) end

---@class stageline.attributes.lookup
---@field file string|number The table: a file of comma-separated values whose first record has the names of the columns.
---@field column string|number The column of the table in which the keys are.
---@field key? string|number An expression, such as a field or `attributes["name"]`, whose value stands for the message. Without it, all that the message says does.
---@field set? table<string, any> Which fields the object gets, each with its column. Without it, all columns but that of the keys, as they are called.
---@field missing? "null"|"drop"|"fail"|"pass" What becomes of a message whose key the table does not have: its fields are null, it is dropped, it fails with the status 218, or it goes on as it is.

---Adds fields out of a table, by a key
---@param attributes stageline.attributes.lookup?
---@return stageline.Component
function stageline.lookup(attributes) end

---@class stageline.attributes.rate_limit
---@field per_second number How many messages a second, from 0.1 to 1e9.
---@field burst? integer How many may go at once after a time in which fewer came, from 1 to 1000000000.

---Lets messages through no faster than is said
---@param attributes stageline.attributes.rate_limit?
---@return stageline.Component
function stageline.rate_limit(attributes) end

---@class stageline.attributes.regex
---@field pattern string|number The expression. It need not match the whole message: `^` and `$` are its ends.
---@field to? "json"|"attributes" Where the named groups go: to an object that takes the message's place, or to attributes.
---@field on_mismatch? "drop"|"fail"|"pass" What becomes of a message that does not match.

---Takes texts apart by a regular expression with named groups
---@param attributes stageline.attributes.regex?
---@return stageline.Component
function stageline.regex(attributes) end

---@class stageline.attributes.sample
---@field rate? number Which part, from 0 to 1. This or `every` must be set.
---@field every? integer One in so many: the first, and then each n-th.
---@field key? string|number An expression: all messages with the same value go the same way, in every run. With `rate`.
---@field seed? integer Chooses otherwise, and the same in every run. With `rate`; without it, at random.

---Lets a part of the messages through, and drops the others
---@param attributes stageline.attributes.sample?
---@return stageline.Component
function stageline.sample(attributes) end

---@class stageline.attributes.template
---@field source string|number The template, in the syntax of Jinja.
---@field strict? boolean Whether a message fails that does not have what the template names; else that is empty.

---Writes messages anew by a template
---@param attributes stageline.attributes.template?
---@return stageline.Component
function stageline.template(attributes) end

---@class stageline.attributes.lua
---@field handle fun(message: stageline.Message): integer?, string? Called with each message. It returns a status, or nothing for done, and a description.
---@field threads? integer Run it on so many threads of its own: for a function that is slow, or 1 for one that counts.

---A function of the script that handles messages
---@param attributes stageline.attributes.lua?
---@return stageline.Component
function stageline.lua(attributes) end

---@class stageline.attributes.stdout
---@field codec? "lines"|"ndjson"|"csv"|"length_prefixed"|"none" How messages are put together: `lines`, with LF behind each; `ndjson`, as lines, with blanks in place of the ends of lines within one; `csv`, of messages that are records already, as a source with `codec = "csv"` gives them (nothing makes records of JSON but a template or a function); `length_prefixed`, where a message that is longer than `length` can say fails (status 220); `none`, one behind the other.
---@field length? "u32"|"u16" For `length_prefixed`: the number before each message, big endian.
---@field csv_header? boolean For `csv`: the header, from the attribute `csv.header` of the first message, is written first. A message with another header, or with one where the first had none, fails (status 230); one without is written all the same.
---@field batch? integer How many messages are written at once, at most, from 1 to 1000000. Of those that are to be written again, 1024 batches are kept; the messages of an older one fail (status 221).
---@field flush_every? string|number How long a message waits for others to be written with, up to 1h; with 0 it does not.

---Writes messages to the standard output
---@param attributes stageline.attributes.stdout?
---@return stageline.Component
function stageline.stdout(attributes) end

---@class stageline.attributes.file_sink
---@field path string|number The file. Its folder must be there.
---@field mode? "append"|"truncate" Whether a file that is there goes on, or is emptied at the start.
---@field rotate_size? string|number A file that would have more bytes than this is finished, and another one begun.
---@field rotate_every? string|number A file that is as old as this is finished when the next messages are written, and another one begun.
---@field sync? "never"|"rotate"|"batch" When the system is to bring what it has to the disk: never, when a file is finished, or after each batch, before its messages are done.
---@field codec? "lines"|"ndjson"|"csv"|"length_prefixed"|"none" How messages are put together: `lines`, with LF behind each; `ndjson`, as lines, with blanks in place of the ends of lines within one; `csv`, of messages that are records already, as a source with `codec = "csv"` gives them (nothing makes records of JSON but a template or a function); `length_prefixed`, where a message that is longer than `length` can say fails (status 220); `none`, one behind the other.
---@field length? "u32"|"u16" For `length_prefixed`: the number before each message, big endian.
---@field csv_header? boolean For `csv`: the header, from the attribute `csv.header` of the first message, is written first. A message with another header, or with one where the first had none, fails (status 230); one without is written all the same.
---@field batch? integer How many messages are written at once, at most, from 1 to 1000000. Of those that are to be written again, 1024 batches are kept; the messages of an older one fail (status 221).
---@field flush_every? string|number How long a message waits for others to be written with, up to 1h; with 0 it does not.

---Writes messages to a file, or to one after the other
---@param attributes stageline.attributes.file_sink?
---@return stageline.Component
function stageline.file_sink(attributes) end

---@class stageline.attributes.tcp_sink
---@field address string|number Where to connect to: `127.0.0.1:9000`, `host:9000`.
---@field timeout? string|number How long it may take to connect, to whichever address of a name, and how long to write a batch, from 1ms to 1h. Looking a name up is not counted.
---@field threads? integer How many threads of its own run it, from 1 to 256. Each has its own instance.
---@field codec? "lines"|"ndjson"|"csv"|"length_prefixed"|"none" How messages are put together: `lines`, with LF behind each; `ndjson`, as lines, with blanks in place of the ends of lines within one; `csv`, of messages that are records already, as a source with `codec = "csv"` gives them (nothing makes records of JSON but a template or a function); `length_prefixed`, where a message that is longer than `length` can say fails (status 220); `none`, one behind the other.
---@field length? "u32"|"u16" For `length_prefixed`: the number before each message, big endian.
---@field csv_header? boolean For `csv`: the header, from the attribute `csv.header` of the first message, is written first. A message with another header, or with one where the first had none, fails (status 230); one without is written all the same.
---@field batch? integer How many messages are written at once, at most, from 1 to 1000000. Of those that are to be written again, 1024 batches are kept; the messages of an older one fail (status 221).
---@field flush_every? string|number How long a message waits for others to be written with, up to 1h; with 0 it does not.

---Writes messages to a connection by TCP
---@param attributes stageline.attributes.tcp_sink?
---@return stageline.Component
function stageline.tcp_sink(attributes) end

---@class stageline.attributes.udp_sink
---@field address string|number Where to send: `127.0.0.1:8125`, `host:8125`.
---@field threads? integer How many threads of its own run it, from 1 to 256. Each has its own instance.

---Sends each message as a datagram by UDP
---@param attributes stageline.attributes.udp_sink?
---@return stageline.Component
function stageline.udp_sink(attributes) end

---@class stageline.attributes.sqlite
---@field path string|number The file of the database.
---@field table string|number The table.
---@field columns? any[]|string The columns, in their order. Each has the field of its name, unless `values` says something else.
---@field values? table<string, any> What a column has, by its name: an expression over the fields of a JSON object and over `attributes`, or `@data`, the message as it is. Without `columns` these are all columns.
---@field create? boolean Whether to create the table, with columns of no type, if it is not there.
---@field key? any[]|string For `create`: the columns of the primary key. With it and `on_conflict = "replace"` a row that comes again takes its own place.
---@field on_conflict? "fail"|"ignore"|"replace" What becomes of a row that a constraint forbids: its whole batch fails, it is left out, or it takes the place of the other one.
---@field wal? boolean Whether the database gets a write-ahead log, so that others can read while it is written.
---@field timeout? string|number How long other connections that write are waited for, up to 1h: with each batch, and when it is opened.
---@field batch? integer How many messages are written at once, at most, from 1 to 1000000. Of those that are to be written again, 1024 batches are kept; the messages of an older one fail (status 221).
---@field flush_every? string|number How long a message waits for others to be written with, up to 1h; with 0 it does not.
---@field threads? integer How many threads of its own run it, from 1 to 256. Each has its own instance.

---Writes messages to a table of an SQLite database
---@param attributes stageline.attributes.sqlite?
---@return stageline.Component
function stageline.sqlite(attributes) end

---@class stageline.attributes.count
---@field by? string|number The attribute of messages whose values are counted apart.
---@field output? string|number The file to write to, which is replaced; stderr unless set.

---Counts messages, and says at the end how many there were
---@param attributes stageline.attributes.count?
---@return stageline.Component
function stageline.count(attributes) end

---@class stageline.attributes.null

---Takes messages, and does nothing with them
---@param attributes stageline.attributes.null?
---@return stageline.Component
function stageline.null(attributes) end

return stageline

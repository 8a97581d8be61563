package rest

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stoa-chat/stoa/internal/clock"
	"github.com/stoa-chat/stoa/internal/moderation"
	"github.com/stoa-chat/stoa/internal/rehearse"
	"github.com/stoa-chat/stoa/internal/webhook"
)

//go:generate go run ./internal/gen ../../docs/rest-api.md

// WriteReference writes the document of all routes as a page of Markdown.
func WriteReference(w io.Writer) error {
	// The table needs no services until it is called.
	a := New(Services{Moderation: &moderation.Service{}, Webhooks: &webhook.Service{}, Rehearsals: &rehearse.Service{}}, clock.New(), prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	document, err := a.Document()
	if err != nil {
		return err
	}
	p := page{document: document}
	p.line("# REST API\n")
	p.line("Made by `make docs` from what the server serves at `%s`, the OpenAPI 3.1 document of this API.\n", documentPath)
	p.line("%s\n", asObject(document["info"])["description"])
	p.line("Types are written as `{name: string, nickname?: string}`: what has a `?` may be left out, `[…]` is an array, and\n" +
		"`{*: …}` an object with any keys. Answers are shown without the envelope, which all have that do not say otherwise:\n")
	p.line("`%s`\n\nRefusals are `%s`. Every call that looks at a token may be refused with 401, every app that does not exist\n"+
		"with 404, and too many calls with 429.\n", p.short(p.schema("Envelope")), p.short(p.schema("Error")))
	p.line("## Types\n")
	for _, name := range slices.Sorted(maps.Keys(p.schemas())) {
		if name == "Envelope" || name == "Error" {
			continue
		}
		p.line("- **%s** `%s`", name, p.short(p.schema(name)))
	}
	for _, tag := range document["tags"].([]any) {
		name := asObject(tag)["name"]
		p.line("\n## %s\n\n%s", name, asObject(tag)["description"])
		for _, pattern := range slices.Sorted(maps.Keys(asObject(document["paths"]))) {
			item := asObject(asObject(document["paths"])[pattern])
			for _, method := range slices.Sorted(maps.Keys(item)) {
				if op := asObject(item[method]); op != nil && slices.Contains(op["tags"].([]any), name) {
					p.operation(strings.ToUpper(method)+" "+pattern, op)
				}
			}
		}
	}
	_, err = w.Write([]byte(p.text.String()))
	return err
}

// page is a page on its way.
type page struct {
	document object
	text     strings.Builder
}

func (p *page) line(format string, args ...any) { fmt.Fprintf(&p.text, format+"\n", args...) }

func (p *page) schemas() object { return asObject(asObject(p.document["components"])["schemas"]) }

func (p *page) schema(name string) object { return asObject(p.schemas()[name]) }

func (p *page) operation(title string, op object) {
	p.line("\n### %s\n\n%s. %s", title, op["summary"], strings.ReplaceAll(fmt.Sprint(op["description"]), "\n\n", "\n"))
	var lines []string
	for _, parameter := range op["parameters"].([]any) {
		o := asObject(parameter)
		if ref, ok := o["$ref"].(string); ok {
			o = asObject(asObject(asObject(p.document["components"])["parameters"])[ref[strings.LastIndex(ref, "/")+1:]])
		}
		if o["in"] == "path" {
			continue
		}
		needed := ""
		if o["required"] == true {
			needed = ", needed"
		}
		lines = append(lines, fmt.Sprintf("- `%s` (%s%s): %s%s", o["name"], o["in"], needed, o["description"], bounds(asObject(o["schema"]))))
	}
	if body := asObject(op["requestBody"]); body != nil {
		content := asObject(body["content"])
		for _, kind := range slices.Sorted(maps.Keys(content)) {
			media, example := asObject(content[kind]), ""
			if e, ok := media["example"]; ok {
				text, err := json.Marshal(e)
				if err != nil {
					panic(err) // it came from text
				}
				example = fmt.Sprintf(", as `%s`", text)
			}
			lines = append(lines, fmt.Sprintf("- Body (%s): `%s`%s", kind, p.short(media["schema"]), example))
		}
	}
	responses := asObject(op["responses"])
	for _, status := range slices.Sorted(maps.Keys(responses)) {
		o := asObject(responses[status])
		schema, isJSON := asObject(asObject(o["content"])["application/json"])["schema"]
		switch {
		case status == "200" && isJSON:
			lines = append(lines, "- Answer"+p.answer(asObject(schema)))
		case status < "400":
			lines = append(lines, fmt.Sprintf("- %s: %s", status, o["description"]))
		case status != "401" && status != "429" && status != "5XX" && status != "408":
			if said, ok := asObject(op["x-errors"])[status]; ok {
				lines = append(lines, fmt.Sprintf("- %s: %s", status, said))
			}
		}
	}
	p.line("\n%s", strings.Join(lines, "\n"))
}

// answer is the answer of a call, without the envelope.
func (p *page) answer(schema object) string {
	if all, ok := schema["allOf"].([]any); ok {
		return fmt.Sprintf(": `%s`", p.short(all[len(all)-1]))
	}
	if schema["$ref"] == "#/components/schemas/Envelope" {
		return ": the envelope alone"
	}
	return fmt.Sprintf(", without the envelope: `%s`", p.short(schema))
}

// bounds are the default and the most that a number may be.
func bounds(schema object) string {
	text := ""
	if v, ok := schema["default"]; ok {
		text += fmt.Sprintf("; %v if it is left out", v)
	}
	if v, ok := schema["maximum"]; ok {
		text += fmt.Sprintf("; at most %v", v)
	}
	return text
}

// short writes a schema as a type.
func (p *page) short(schema any) string {
	o := asObject(schema)
	if ref, ok := o["$ref"].(string); ok {
		return ref[strings.LastIndex(ref, "/")+1:]
	}
	if values, ok := o["enum"].([]any); ok {
		texts := make([]string, len(values))
		for i, v := range values {
			texts[i] = fmt.Sprintf("%q", v)
		}
		return strings.Join(texts, " | ")
	}
	if v, ok := o["const"]; ok {
		return fmt.Sprintf("%q", v)
	}
	if items, ok := o["items"]; ok {
		return "[" + p.short(items) + "]"
	}
	if all := asObject(o["additionalProperties"]); all != nil {
		return "{*: " + p.short(all) + "}"
	}
	properties := asObject(o["properties"])
	if properties == nil {
		switch kind := o["type"].(type) {
		case string:
			return kind
		case []any:
			return strings.ReplaceAll(strings.Trim(fmt.Sprint(kind), "[]"), " ", " | ")
		}
		return "any"
	}
	required, _ := o["required"].([]any)
	var fields []string
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		mark := "?"
		if slices.Contains(required, any(name)) {
			mark = ""
		}
		fields = append(fields, name+mark+": "+p.short(properties[name]))
	}
	return "{" + strings.Join(fields, ", ") + "}"
}

package push

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/store"
)

const (
	maxTemplates = 100 // of an app
	maxPattern   = 512 // characters

	// defaultTemplate is the name of the template that words what nothing else words.
	defaultTemplate = "default"
)

// Situations that edges word in their own ways. They are wrapped in an *errcode.Error.
var (
	ErrTemplate   = errors.New("bad push template")
	ErrNoTemplate = errors.New("no such push template")
)

var templateForm = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// SetTemplate makes a template, or changes the one of that name. Patterns hold {0}, {1}… for what a message says in
// em_push_template, {$fromNickname} or {$dynamicFrom} for its sender and {$msg} for its text. The errors are code 505, -3
// (ErrTemplate) and 50 (ErrFull).
func (s *Service) SetTemplate(ctx context.Context, app *account.App, name, title, body string) (store.PushTemplate, error) {
	if err := s.offered(app); err != nil {
		return store.PushTemplate{}, err
	}
	if !templateForm.MatchString(name) {
		return store.PushTemplate{}, refuse(errcode.InvalidParameter, ErrTemplate, "name is not 1 to 64 letters and digits")
	}
	for field, pattern := range map[string]string{"title_pattern": title, "content_pattern": body} {
		if n := utf8.RuneCountInString(pattern); n == 0 || n > maxPattern || !utf8.ValidString(pattern) || strings.ContainsRune(pattern, 0) {
			return store.PushTemplate{}, refuse(errcode.InvalidParameter, ErrTemplate, "%s has not 1 to %d characters", field, maxPattern)
		}
	}
	now := s.now()
	t, err := s.store.PutPushTemplate(ctx, app.ID, store.PushTemplate{Name: name, Title: title, Content: body, Created: now, Updated: now}, maxTemplates)
	if errors.Is(err, store.ErrFull) {
		err = refuse(errcode.MaxLimit, ErrFull, "an app has at most %d push templates", maxTemplates)
	}
	return t, err
}

// Template returns a template. The errors are code 505 and -3 (ErrNoTemplate).
func (s *Service) Template(ctx context.Context, app *account.App, name string) (store.PushTemplate, error) {
	if err := s.offered(app); err != nil {
		return store.PushTemplate{}, err
	}
	found, err := s.store.PushTemplates(ctx, app.ID, []string{strings.ToValidUTF8(name, "?")})
	if err == nil && len(found) == 0 {
		err = noTemplate(name)
	}
	if err != nil {
		return store.PushTemplate{}, err
	}
	return found[0], nil
}

func noTemplate(name string) error {
	return refuse(errcode.InvalidParameter, ErrNoTemplate, "there is no push template %q", name)
}

// RemoveTemplate removes a template and returns it. The errors are those of Template.
func (s *Service) RemoveTemplate(ctx context.Context, app *account.App, name string) (store.PushTemplate, error) {
	if err := s.offered(app); err != nil {
		return store.PushTemplate{}, err
	}
	t, err := s.store.DropPushTemplate(ctx, app.ID, strings.ToValidUTF8(name, "?"))
	if errors.Is(err, store.ErrNotFound) {
		err = noTemplate(name)
	}
	return t, err
}

// ChooseTemplate says which template words a user's notifications; empty: none. There need be none of that name yet. The
// errors are code 505, 204 and -3 (ErrTemplate).
func (s *Service) ChooseTemplate(ctx context.Context, app *account.App, user store.User, name string) error {
	if name != "" && !templateForm.MatchString(name) {
		return refuse(errcode.InvalidParameter, ErrTemplate, "templateName is not 1 to 64 letters and digits")
	}
	return s.changeUser(ctx, app, user, func(u *store.PushUser) { u.Template = name })
}

// wish is which template a message wants, and what it puts in.
type wish struct {
	name        string
	title, body []string
}

func wishOf(object map[string]any) wish {
	name, _ := object["name"].(string)
	return wish{name, textsOf(object["title_args"]), textsOf(object["content_args"])}
}

func textsOf(list any) (texts []string) {
	values, _ := list.([]any)
	for _, value := range values {
		text, _ := value.(string)
		texts = append(texts, text)
	}
	return texts
}

// reword words a notification as the template says that is to be used, or as the message does itself. From the first that
// counts to the last these are: the template that the message names for this user, the one that it names for all, the user's
// own, what the message says in em_push_ext, the app's default.
func (s *Service) reword(ctx context.Context, n store.Notification, e store.Entry, c content, own string, note *Note) error {
	asked, _ := valueOf(c.Ext["em_push_template"]).(map[string]any)
	wishes := []wish{wishOf(asked)}
	wishes = append(wishes, wish{own, wishes[0].title, wishes[0].body}, wish{defaultTemplate, wishes[0].title, wishes[0].body})
	if directed, ok := valueOf(asked["directed_template"]).(map[string]any); ok {
		user, err := s.store.UserByID(ctx, n.User)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if slices.ContainsFunc(textsOf(directed["target"]), func(name string) bool { return account.Fold(name) == user.Name }) {
			wishes = append([]wish{wishOf(directed)}, wishes...)
		}
	}
	var names []string
	for _, w := range wishes {
		names = append(names, strings.ToValidUTF8(w.name, "?"))
	}
	templates, err := s.store.PushTemplates(ctx, n.App, names)
	if err != nil {
		return err
	}
	said, _ := valueOf(c.Ext["em_push_ext"]).(map[string]any)
	title, _ := said["title"].(string)
	body, _ := said["content"].(string)
	for i, w := range wishes {
		last := i == len(wishes)-1 // the default
		at := slices.IndexFunc(templates, func(t store.PushTemplate) bool { return t.Name == w.name })
		if at < 0 || last && title != "" && body != "" {
			continue
		}
		from, err := s.senderOf(ctx, e, c)
		if err != nil {
			return err
		}
		note.Title, note.Body = filled(templates[at].Title, w.title, from, c.text()), filled(templates[at].Content, w.body, from, c.text())
		if !last {
			return nil
		}
	}
	if title != "" {
		note.Title = title
	}
	if body != "" {
		note.Body = body
	}
	return nil
}

var placeholders = regexp.MustCompile(`\{(\d{1,3}|\$fromNickname|\$dynamicFrom|\$msg)\}`)

// filled puts into a pattern what its placeholders stand for: arguments, in which there may be other ones, the sender and
// the text. For what is not given there is nothing.
func filled(pattern string, args []string, from, text string) string {
	named := func(name string) string {
		switch name {
		case "{$msg}":
			return text
		case "{$fromNickname}", "{$dynamicFrom}":
			return from
		}
		return ""
	}
	return placeholders.ReplaceAllStringFunc(pattern, func(place string) string {
		n, err := strconv.Atoi(place[1 : len(place)-1])
		if err != nil {
			return named(place)
		}
		if n >= len(args) {
			return ""
		}
		return placeholders.ReplaceAllStringFunc(args[n], named)
	})
}

package chat_test

import (
	"context"
	"fmt"
	"log"
	"os/signal"
	"syscall"

	"github.com/stoa-chat/stoa/chat"
)

// A bot that answers every text message, until it is interrupted.
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	c, err := chat.New("stoa#demo", chat.WithServer("http://127.0.0.1:8080"))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	c.AddEventListener("bot", chat.Listener{
		OnTextMessage: func(m *chat.Message) {
			if _, err := c.SendText(ctx, m.From, "you said: "+m.Text); err != nil {
				log.Print(err) // names the code, the cause and what helps
			}
		},
		OnError: func(err *chat.Error) { log.Print(err) },
	})
	if err := c.Login(ctx, "alice", chat.Password("stoa")); err != nil {
		log.Fatal(err)
	}
	fmt.Println("ready")
	<-ctx.Done()
}

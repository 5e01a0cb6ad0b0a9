// Signing in with an admin token. The token goes to the server once and is kept nowhere in the page.
import {el, field, heading, problem} from "./dom.js";
import {signIn} from "./api.js";

export function signInPage(main, {told, entered}) {
    const token = el("input", {name: "token", type: "password", required: true, autocomplete: "off", spellcheck: "false",
        autocapitalize: "none"});
    const trouble = el("div", {});
    async function submit(event) {
        event.preventDefault();
        trouble.replaceChildren();
        try {
            entered(await signIn({token: token.value.trim()}));
        } catch (error) {
            const wrong = error.status === 401 || error.status === 422;
            trouble.replaceChildren(problem(wrong ? new Error("This token is wrong, expired or revoked.") : error));
            token.select();
            token.focus();
        }
    }
    main.append(el("section", {class: "signin card"},
        el("img", {src: "icon.svg", alt: "", width: "72", height: "72"}),
        heading("Sign in"),
        told && el("p", {class: "told"}, told),
        el("form", {onsubmit: submit},
            field("Admin token", token, "As teddyctl admin-token create showed it. teddyctl console link gives a link instead."),
            trouble,
            el("p", {class: "buttons"}, el("button", {class: "main"}, "Sign in")))));
    token.focus();
}

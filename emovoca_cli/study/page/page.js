"use strict";
(() => {
  const study = JSON.parse(document.getElementById("study").textContent);
  const embedded = document.getElementById("media");
  const media = embedded ? JSON.parse(embedded.textContent) : null;
  const texts = study.texts;
  const screen = document.getElementById("screen");
  const early = document.getElementById("early");
  const warning = document.getElementById("warning");
  const place = "emovoca-study/" + study.study;
  let state = null; // what this participant has answered; everything else follows from it
  let keys = () => false; // what a key does on the screen that is shown

  // ---- keeping: in this browser, and in the file at the end

  function keep() {
    try {
      localStorage.setItem(place + "/" + state.participant, JSON.stringify(state));
      localStorage.setItem(place, String(state.participant));
    } catch {
      warning.textContent = texts.not_kept;
    }
  }

  function kept(participant) {
    try {
      return JSON.parse(localStorage.getItem(place + "/" + participant));
    } catch {
      return null;
    }
  }

  function lastParticipant() {
    const asked = new URLSearchParams(location.search).get("participant");
    if (asked !== null) return asked;
    try {
      return localStorage.getItem(place) || "";
    } catch {
      return "";
    }
  }

  function crc32(bytes) {
    let crc = ~0;
    for (const byte of bytes) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return (~crc >>> 0).toString(16).padStart(8, "0");
  }

  function save() {
    const content = { kind: "emovoca-study-answers", schema: study.schema, emovoca: study.emovoca, study: study.study, ...state };
    content.checksum = crc32(new TextEncoder().encode(JSON.stringify(content)));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(content, null, 1) + "\n"], { type: "application/json" }));
    link.download = "answers-" + study.study + "-" + state.participant + ".json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  // ---- building blocks

  function make(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name in element && typeof value !== "string") element[name] = value;
      else element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  const paragraphs = (text) => text.split(/\n\s*\n/).map((part) => make("p", {}, part.trim()));
  const fill = (text, words) => text.replace(/\{(\w+)\}/g, (_, name) => words[name]);

  function show(...children) {
    keys = () => false;
    screen.replaceChildren(...children);
    screen.focus({ preventScroll: true });
    scrollTo(0, 0);
    const done = state ? state.answers.length : 0;
    const total = study.trials.length;
    document.getElementById("count").textContent = state ? fill(texts.progress, { done, total }) : "";
    const bar = document.getElementById("bar");
    bar.setAttribute("aria-valuemax", total);
    bar.setAttribute("aria-valuenow", done);
    bar.setAttribute("aria-label", fill(texts.progress, { done, total }));
    bar.firstElementChild.style.width = (100 * done) / total + "%";
    early.hidden = !state || done === 0 || done === total;
  }

  function words(title, text, ...more) {
    const heading = make("h1", {}, title);
    show(make("div", { class: "words" }, heading, ...paragraphs(text), ...more));
  }

  // ---- screens

  function welcome() {
    state = null;
    const number = make("input", { type: "text", id: "participant", inputmode: "numeric", autocomplete: "off" });
    number.value = lastParticipant();
    const tick = make("input", { type: "checkbox", id: "agree", required: true });
    const complaint = make("p", { class: "complaint", role: "alert" });
    const form = make(
      "form",
      { novalidate: "" },
      make("label", { class: "line" }, texts.participant, number),
      make("label", { class: "line tick" }, tick, make("span", {}, texts.agree)),
      complaint,
      make("button", { class: "go", type: "submit", id: "begin" }, texts.begin),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const participant = /^\s*\d+\s*$/.test(number.value) ? Number(number.value) : 0;
      if (participant < 1 || participant > study.plan.length) {
        complaint.textContent = fill(texts.participant_unknown, { count: study.plan.length });
        number.focus();
      } else if (!tick.checked) {
        complaint.textContent = texts.agree;
        tick.focus();
      } else {
        enter(kept(participant) || { participant, agreed: Date.now(), finished: null, answers: [] });
      }
    });
    words(texts.title, texts.welcome, make("div", { class: "consent" }, ...paragraphs(texts.consent)), form);
    (number.value ? tick : number).focus();
  }

  function enter(saved) {
    state = saved;
    keep();
    step(true);
  }

  function step(arrived) {
    const done = state.answers.length;
    const row = study.plan[state.participant - 1];
    if (done === row.length) return finish();
    const kindOf = (place) => study.trials[row[place] >> 1].videos.length;
    if (!arrived && kindOf(done) === kindOf(done - 1)) return trial();
    const go = make("button", { class: "go", type: "button", id: "go-on" }, texts.go_on);
    go.addEventListener("click", trial);
    const again = arrived && done > 0 ? [make("p", { id: "resumed" }, fill(texts.resumed, { done, total: row.length }))] : [];
    const kind = kindOf(done) === 1 ? "naming" : "pair";
    words(texts[kind + "_title"], texts[kind + "_intro"], ...again, go);
    go.focus();
  }

  function finish() {
    if (!state.finished) {
      state.finished = Date.now();
      keep();
    }
    const button = make("button", { class: "go", type: "button", id: "download" }, texts.download);
    button.addEventListener("click", save);
    const other = make("button", { class: "quiet", type: "button", id: "another" }, texts.another);
    other.addEventListener("click", () => {
      try {
        localStorage.removeItem(place);
      } catch {
        // nothing was kept, nothing to forget
      }
      history.replaceState(null, "", location.pathname);
      welcome();
    });
    words(texts.finished_title, texts.finished, make("p", {}, button), other);
    button.focus();
  }

  function trial() {
    const code = study.plan[state.participant - 1][state.answers.length];
    const asked = study.trials[code >> 1];
    const order = code & 1 ? [...asked.videos].reverse() : asked.videos;
    const shown = Date.now();
    const pair = order.length === 2;
    const hint = make("p", { class: "hint", role: "status" }, pair ? texts.watch_both : texts.watch_one);
    const players = order.map((number, index) => player(number, pair ? texts[index ? "b" : "a"] : "", !pair, changed));
    for (const one of players) one.others = players.filter((other) => other !== one);
    const fields = asked.asks.map((question) => field(question, asked, changed));
    const next = make("button", { class: "go", type: "button", id: "next", disabled: true }, texts.next);
    next.addEventListener("click", submit);

    function changed() {
      const broken = players.some((one) => one.broken);
      const watched = players.every((one) => one.watched());
      for (const one of fields) one.element.disabled = !watched;
      next.disabled = !watched || !fields.every((one) => one.answer());
      const wait = pair ? texts.watch_both : texts.watch_one;
      hint.textContent = broken ? texts.unplayable : !watched ? wait : next.disabled ? texts.answer : "";
    }

    function submit() {
      if (next.disabled) return;
      for (const one of players) one.video.pause();
      const newer = kept(state.participant); // another tab may have gone ahead
      if (newer && newer.answers.length > state.answers.length) return enter(newer);
      state.answers.push({
        trial: code >> 1,
        videos: [...order],
        given: Object.fromEntries(fields.map((one) => [one.question, one.answer()])),
        plays: players.map((one) => one.plays),
        shown,
        answered: Date.now(),
      });
      keep();
      step(false);
    }

    show(
      make("div", { class: pair ? "videos two" : "videos" }, ...players.map((one) => one.element)),
      hint,
      make("div", { class: "questions" }, ...fields.map((one) => one.element)),
      make("div", { class: "last" }, next, make("p", { class: "keys" }, pair ? texts.keys_pair : texts.keys_naming)),
    );
    keys = (key) => {
      if (key === "Enter") submit();
      else if (key === " ") (players.find((one) => !one.watched()) || players[0]).play();
      else if (pair && "ab".includes(key.toLowerCase())) players["ab".indexOf(key.toLowerCase())].play();
      else if (/^[1-9]$/.test(key)) {
        const focused = fields.find((one) => one.element.contains(document.activeElement));
        (fields.find((one) => !one.answer()) || focused || fields[fields.length - 1]).choose(Number(key) - 1);
      } else return false;
      return true;
    };
  }

  // A video without the browser's own controls: nobody can skip, so what has been played to its end was seen.
  function player(number, name, silent, changed) {
    const video = make("video", { preload: "auto", playsinline: "", disablepictureinpicture: "", muted: silent });
    const label = make("span", {}, texts.play);
    const button = make("button", { class: "play", type: "button", "aria-label": (texts.play + " " + name).trim() }, label);
    const frame = make("div", { class: "frame" }, video, button);
    const caption = make("figcaption", {}, make("span", {}, name), make("span", { class: "tick", "aria-hidden": "true" }, "✓"));
    const element = make("figure", {}, frame, caption);
    const one = { element, video, plays: 0, ended: false, broken: false, others: [], play, watched };

    function watched() {
      let seen = 0;
      for (let index = 0; index < video.played.length; index++) seen += video.played.end(index) - video.played.start(index);
      return one.ended && seen >= 0.95 * video.duration;
    }

    function play() {
      if (!video.paused && !video.ended) return;
      for (const other of one.others) {
        if (!other.video.paused) {
          other.video.pause();
          other.video.currentTime = 0;
        }
      }
      video.play().catch(() => {
        one.broken = one.broken || video.error !== null;
        changed();
      });
    }

    button.addEventListener("click", play);
    video.addEventListener("loadedmetadata", () => {
      if (video.videoWidth) frame.style.setProperty("--ratio", video.videoWidth / video.videoHeight);
    });
    video.addEventListener("playing", () => element.classList.add("playing"));
    video.addEventListener("pause", () => element.classList.remove("playing"));
    video.addEventListener("ratechange", () => {
      if (video.playbackRate !== 1) video.playbackRate = 1;
    });
    video.addEventListener("ended", () => {
      one.ended = true;
      one.plays += 1;
      element.classList.remove("playing");
      element.classList.toggle("watched", watched());
      label.textContent = texts.play_again;
      button.setAttribute("aria-label", (texts.play_again + " " + name).trim());
      changed();
    });
    video.addEventListener("error", () => {
      one.broken = true;
      changed();
    });
    video.src = media ? media[number] : "videos/" + study.videos[number].file;
    return one;
  }

  function field(question, asked, changed) {
    const sides = study.ties ? ["a", "b", "same"] : ["a", "b"];
    const choices = question === "naming" ? study.choices : sides;
    const word = (choice) => (question === "naming" ? texts.emotions[choice] : texts[choice]);
    const legend = make("legend", {});
    const [before, after] = texts[question].split("{emotion}");
    legend.append(before);
    if (after !== undefined) legend.append(make("em", {}, texts.emotions[asked.emotion] || asked.emotion), after);
    const inputs = choices.map((choice) => make("input", { type: "radio", name: question, value: choice }));
    const answers = inputs.map((input, index) =>
      make("label", { class: "answer" }, input, word(input.value), ...(index < 9 ? [make("kbd", {}, String(index + 1))] : [])),
    );
    const element = make("fieldset", { disabled: true }, legend, make("div", { class: "answers" }, ...answers));
    element.addEventListener("change", changed);
    return {
      element,
      question,
      answer: () => (inputs.find((input) => input.checked) || { value: "" }).value,
      choose: (index) => {
        if (element.disabled || index >= inputs.length) return;
        inputs[index].checked = true;
        inputs[index].focus();
        changed();
      },
    };
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const own = event.target.closest("button, input[type=text], input[type=checkbox]");
    const radio = event.target.closest("input[type=radio]");
    if (own && (event.key === " " || event.key === "Enter" || own.type === "text")) return;
    if (radio && event.key === " " && !radio.checked) return;
    if (keys(event.key)) event.preventDefault();
  });

  document.documentElement.lang = texts.lang;
  document.title = texts.title;
  document.getElementById("name").textContent = texts.title;
  early.textContent = texts.early;
  early.addEventListener("click", save);
  const before = kept(Number(lastParticipant()) || 0);
  if (before) enter(before);
  else welcome();
})();

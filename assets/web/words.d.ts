// What words.js gives to other modules. Never served.

/** A text that keeps its template and what fills it. */
export interface Message { template: string; values: Record<string, string | number | Message> }

export function language(): string;
export function languageNames(): Record<string, string>;
export function gradiosLanguage(): string;
export function begin(languages: Record<string, string>): Promise<void>;
export function learn(texts: Record<string, string>, classNames: string[]): void;
export function setLanguage(code: string): void;
export function say(text: string | Message, values?: Record<string, unknown>): string;
export function sayClass(label: string): string;
export function sayWithin(element: Element): void;

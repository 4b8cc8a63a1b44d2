// What consent managers put in the page, as far as the adapters read it. Each member may be missing or come late.

/**
 * Tells what a consent manager holds of the visitor.
 *
 * allowed: whether marketing is allowed now; null where this source does not decide for this visitor.
 * answered: whether the visitor said so (the default), or the consent manager decided without asking.
 */
type Say = (allowed: unknown, answered?: unknown) => void;

/** Has `look` called now, at each of the events wherever they happen, after clicks, and ever more rarely besides. */
type Watch = (look: () => unknown, ...events: string[]) => void;

type Adapter<Option> = (say: Say, option: Option, watch: Watch) => void;
type Ask = (tell: (verb: "grant" | "revoke") => void, implied: unknown, ...sources: Source[]) => void;
type Source = [adapter: Adapter<any>, option?: any];

interface TcData {
  eventStatus: string;
  gdprApplies?: boolean;
  purpose: { consents: Record<number, boolean> };
  vendor: { consents: Record<number, boolean> };
  addtlConsent?: string;
}

interface GppEvent {
  pingData: { signalStatus: string; applicableSections: number[]; parsedSections?: Record<string, unknown> };
}

interface UsercentricsService {
  name: string;
  category?: string;
  categorySlug?: string;
  consent?: { given?: boolean; status?: boolean };
}

interface DidomiSdk {
  isConsentRequired(): boolean;
  getObservableOnUserConsentStatusForVendor(vendor: string): { subscribe(tell: (status?: boolean) => void): void };
}

interface AxeptioSdk {
  on(event: string, tell: (choices: Record<string, boolean>) => void): void;
  hasAcceptedVendor(vendor: string): boolean;
}

interface KlaroManager {
  confirmed: boolean;
  consents: Record<string, boolean>;
  savedConsents?: Record<string, boolean>;
  watch(watcher: { update(): void }): void;
}

interface Window {
  __ucCmp?: {
    getConsentDetails(): Promise<{ services: Record<string, UsercentricsService>; consent: { type: string } }>;
  };
  __tcfapi?: (command: string, version: number, tell: (data: TcData, ok: boolean) => void) => void;
  __gpp?: (command: string, tell: (event: GppEvent) => void) => void;
  _axcb?: ((sdk: AxeptioSdk) => void)[];
  didomiOnReady?: ((sdk: DidomiSdk) => void)[];
}

declare const BorlabsCookie: {
  Consents?: { hasConsent(service: string): boolean };
  checkCookieConsent(service: string): boolean;
};
declare const cmplz_has_consent: (category: string) => boolean;
declare const Cookiebot: { hasResponse: boolean; consent: { marketing: boolean; method: string | null } };
declare const CookieFirst: { consent: { advertising: boolean } | null };
declare const getCkyConsent: () => { isUserActionCompleted: boolean; categories: { advertisement: boolean } };
declare const klaro: { getManager(): KlaroManager };
declare const OnetrustActiveGroups: string;
declare const OneTrust: { IsAlertBoxClosed(): boolean };
declare const Osano: { cm: { addEventListener(event: string, tell: (consent: { MARKETING: string }) => void): void } };
declare const Shopify: {
  customerPrivacy: {
    marketingAllowed(): boolean;
    saleOfDataAllowed(): boolean;
    currentVisitorConsent(): { marketing: string };
  };
};
declare const tarteaucitron: { state: Record<string, boolean | "wait"> };
declare const truste: {
  cma: { callApi(name: string, host: string): { consentDecision: number | number[]; source: string } };
};
declare const UC_UI: { getServicesBaseInfo(): UsercentricsService[]; isConsentRequired(): boolean };
declare const _iub: { cs: { consent: { timestamp?: string; consent?: boolean; purposes?: Record<string, boolean> } } };
declare const wp_has_consent: (category: string) => boolean;

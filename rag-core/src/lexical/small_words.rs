//! Articles, prepositions, pronouns, auxiliaries and words that ask, of each language with its accents; and those of them that say something elsewhere.

use super::language::Language;

/// The small words of each language.
#[rustfmt::skip]
pub(super) const SMALL_WORDS: [(Language, &str); 13] = [
    (Language::German,
        "der die das den dem des ein eine einen einem einer eines und oder aber nicht kein keine ist sind war waren \
        wird werden wurde wurden hat haben hatte kann können muss müssen soll sollen darf ich du er sie es wir ihr \
        mein sein seine ihre unser dieser diese dieses jeder jede jedes von vom zu zum zur mit bei beim nach aus auf \
        an am im in für über unter durch gegen ohne um bis vor seit wie was wer wo wann warum wieso woher wohin \
        welche welcher welches wem wen wenn weil dass als auch nur noch schon so sich man mehr sehr hier dort doch"),
    (Language::French,
        "le la les l un une des du de d et ou mais ne pas est sont était étaient sera seront a ont avait être avoir \
        fait peut peuvent doit doivent je tu il elle on nous vous ils elles ce cet cette ces son sa ses leur leurs \
        mon ma mes notre votre qui que qu quoi dont où quand comment pourquoi combien quel quelle quels quelles à au \
        aux en dans par pour sur sous avec sans chez vers entre depuis pendant avant après plus moins très aussi \
        comme si y lui se tout tous toute toutes chaque même donc car"),
    (Language::Spanish,
        "el la los las un una unos unas y o pero no es son era eran fue fueron será ser está están estar ha han había \
        hay tiene tienen puede pueden debe deben yo tú él ella nosotros ellos ellas usted ustedes este esta estos \
        estas ese esa eso su sus mi mis nuestro nuestra que qué quién quiénes cuál cuáles cuándo cuánto cuánta \
        cuántos cuántas cómo dónde de del al a en con por para sin sobre entre desde hasta hacia según durante antes \
        después más menos muy también como si se lo le les ya cada todo todos toda todas donde cuando porque"),
    (Language::Italian,
        "il lo la i gli le un uno una e o ma non è sono era erano sarà essere ha hanno aveva avere può possono deve \
        devono io tu lui lei noi voi loro questo questa questi queste quello quella quelli quelle suo sua suoi sue \
        mio mia nostro che chi cosa quale quali quando quanto quanta quanti quante come dove perché di del dello \
        della dei degli delle a al allo alla ai agli alle da dal dalla in nel nella nei nelle con su sul sulla per \
        tra fra senza dopo prima più meno molto anche se si ci ogni tutto tutti tutte"),
    (Language::Portuguese,
        "o a os as um uma uns umas e ou mas não é são era eram foi foram será ser está estão estar há tem têm tinha \
        pode podem deve devem eu tu ele ela nós eles elas você vocês este esta isto esse essa isso aquele seu sua \
        seus suas meu minha nosso que quem qual quais quando quanto quantos quantas como onde porque de do da dos \
        das ao aos à às em no na nos nas num numa com por pelo pela para sem sobre entre desde até durante antes \
        depois mais menos muito também se já cada todo todos toda todas"),
    (Language::Dutch,
        "de het een en of maar niet geen is zijn was waren wordt worden werd heeft hebben had kan kunnen moet moeten \
        mag zal zullen ik jij je hij zij ze wij we jullie hun haar mijn onze deze dit die dat er van naar met bij \
        uit op aan in voor over onder door tegen zonder om tot sinds hoe wat wie waar wanneer waarom welke hoeveel \
        als dan ook nog al zo meer zeer hier daar elke ieder"),
    (Language::Swedish,
        "en ett den det de och eller men inte ingen inget är var blir blev har hade kan kunde ska skall måste får jag \
        du han hon vi ni de dem sin sitt sina min vår denna detta dessa som av från till med hos på i för om under \
        över genom mot utan efter före sedan hur vad vem var när varför vilken vilket vilka att så också bara mer \
        mycket här där varje"),
    (Language::Danish,
        "en et den det de og eller men ikke ingen er var bliver blev har havde kan kunne skal må jeg du han hun vi i \
        de dem sin sit sine min vores denne dette disse som af fra til med hos på for om under over gennem mod uden \
        efter før siden hvordan hvad hvem hvor hvornår hvorfor hvilken hvilket hvilke at så også kun mere meget her \
        der hver"),
    (Language::Norwegian,
        "en ei et den det de og eller men ikke ingen er var blir ble har hadde kan kunne skal må jeg du han hun vi \
        dere de dem sin sitt sine min vår denne dette disse som av fra til med hos på i for om under over gjennom \
        mot uten etter før siden hvordan hva hvem hvor når hvorfor hvilken hvilket hvilke at så også bare mer mye \
        her der hver"),
    (Language::Finnish,
        "ja tai mutta ei eivät on ovat oli olivat olla ole voi voivat pitää täytyy minä sinä hän me te he se ne tämä \
        nämä tuo joka jotka mikä mitä kuka missä mistä mihin milloin miksi miten kuinka montako kun jos että kuin \
        myös vain vielä jo niin sekä kanssa ilman ennen jälkeen kaikki jokainen"),
    (Language::Hungarian,
        "a az egy és vagy de nem van vannak volt voltak lesz lehet kell én te ő mi ti ők ez ezek azok aki ami amely \
        hogy hol hova mikor miért hogyan mennyi hány ki mit melyik csak is már még ha mint nagyon minden után előtt \
        alatt között nélkül szerint"),
    (Language::Romanian,
        "un o unei unui niște și sau dar nu este e sunt era erau va vor fi are au avea poate pot trebuie eu tu el ea \
        noi voi ei ele acest această acești aceste acel său sa lui lor care ce cine când cât câți câte cum unde de \
        din la în pe cu pentru prin fără sub peste după înainte până mai foarte și doar dacă că să se își fiecare \
        toate toți"),
    (Language::Turkish,
        "bir ve veya ile ama değil var yok mı mi mu mü ben sen o biz siz onlar bu şu bunlar ki ne kim hangi nerede \
        nereye neden niçin nasıl kaç zaman için gibi kadar göre sonra önce üzere her daha çok en de da ise olarak \
        olan olur"),
];

/// Small words of one language that say something in another, English most often: they are words like any other. Sorted.
#[rustfmt::skip]
pub(super) const TELLING: [&str; 89] = [
    "ai", "alle", "bare", "ben", "car", "care", "chi", "com", "come", "comment", "con", "cum", "dal", "dan",
    "dar", "die", "dit", "do", "doit", "door", "dos", "ei", "era", "est", "fait", "for", "fra", "han", "har", "hat",
    "hay", "her", "hoe", "hun", "kim", "kunde", "lei", "lo", "los", "mag", "man", "mas", "me", "med", "men", "mer",
    "met", "mi", "mia", "min", "mit", "mod", "moins", "mon", "mot", "non", "nu", "ole", "op", "os", "over",
    "par", "pas", "per", "plus", "pot", "pour", "prima", "sans", "sen", "ser", "sera", "sin", "sit", "ska", "son",
    "sub", "sue", "sur", "tai", "tot", "tu", "unde", "under", "van", "var", "war", "wen", "zaman",
];

use std::collections::BTreeMap;

use testbed::image::ImageBuilder;

use super::*;

#[test]
fn notes_are_the_section_of_the_version() {
    let changes = "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2026-01-31\n\n### Added\n\n- This.\n\n## [0.1.0]\n\n- Old.\n";
    assert_eq!(section(changes, "0.2.0").unwrap(), "### Added\n\n- This.\n");
    assert_eq!(section(changes, "0.1.0").unwrap(), "- Old.\n");
    assert_eq!(section(changes, "Unreleased"), None);
    assert_eq!(section(changes, "0.3.0"), None);
}

#[test]
fn the_chart_says_where_it_comes_from() {
    let paths = Paths::from_environment().unwrap();
    let chart = read(&paths.root().join("deploy/chart/Chart.yaml")).unwrap();
    let text = with_origin(
        &String::from_utf8(chart).unwrap(),
        "https://example.com/j",
        "abc",
    )
    .unwrap();
    let chart: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(chart["sources"][0], "https://example.com/j");
    assert_eq!(
        chart["annotations"]["org.opencontainers.image.revision"],
        "abc"
    );
    assert!(
        chart["annotations"]["artifacthub.io/license"].is_string(),
        "{text}"
    );
    with_origin("name: x\n", "y", "z").unwrap_err();
}

#[test]
fn every_version_is_that_of_cargo() {
    let paths = Paths::from_environment().unwrap();
    let yaml = |file: &str| -> serde_json::Value {
        let text = String::from_utf8(read(&paths.root().join(file)).unwrap()).unwrap();
        serde_saphyr::from_str(&text).unwrap()
    };
    let chart = yaml("deploy/chart/Chart.yaml");
    assert_eq!(chart["version"], VERSION);
    assert_eq!(chart["appVersion"], VERSION);
    assert_eq!(yaml("deploy/helm-plugin/plugin.yaml")["version"], VERSION);
    let pages =
        ["README.md", "README.ko.md", "deploy/chart/README.md"].map(|page| paths.root().join(page));
    let docs = fs::read_dir(paths.root().join("docs")).unwrap();
    let docs = docs.map(|entry| entry.unwrap().path());
    let docs = docs.filter(|page| page.extension().is_some_and(|extension| extension == "md"));
    let mut found = 0;
    for page in pages.into_iter().chain(docs) {
        let text = String::from_utf8(read(&page).unwrap()).unwrap();
        for other in versions_in(&text) {
            assert_eq!(other, VERSION, "{}", page.display());
            found += 1;
        }
    }
    assert!(found > 10, "{found}");
}

/// Of names such as `javelin:1.2.3` and `javelin-1.2.3.tgz`.
fn versions_in(text: &str) -> Vec<String> {
    let names = text.match_indices("javelin");
    let after = names.filter_map(|(at, name)| text[at + name.len()..].strip_prefix([':', '-']));
    let versions = after.map(|after| {
        let end = after.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
        after[..end.unwrap_or(after.len())].trim_end_matches('.')
    });
    let versions = versions.filter(|version| version.split('.').count() == 3);
    versions.map(str::to_owned).collect()
}

/// The image of `cargo xtask image` with a program and a jar that are neither.
fn image(paths: &Paths) -> ImageBuilder {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    write(&program, "program").unwrap();
    let product = Product {
        platform: Platform::Arm64,
        program: &program,
        source: "",
        revision: "",
    };
    let licences = [
        ("licenses.md".to_owned(), Vec::new()),
        ("a.jar/LICENSE".to_owned(), Vec::new()),
    ];
    let jar = testbed::images::Jar {
        contents: b"jar".to_vec(),
        licences: BTreeMap::from(licences),
    };
    product
        .image_with(paths, "localhost/javelin:1", jar)
        .unwrap()
}

/// The last stage of the Dockerfile, an instruction a line.
fn last_stage(dockerfile: &str) -> Vec<(String, String)> {
    let joined = dockerfile.replace("\\\n", " ");
    let lines = joined.lines().map(str::trim);
    let instructions = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut stage = Vec::new();
    for line in instructions {
        let (name, rest) = line.split_once(' ').unwrap();
        if name == "FROM" {
            stage.clear();
        }
        stage.push((name.to_owned(), rest.trim().to_owned()));
    }
    stage
}

/// `name=value` and `name="value"`, as ENV and LABEL have them.
fn pairs(text: &str) -> BTreeMap<String, String> {
    let mut pairs = BTreeMap::new();
    let mut rest = text.trim();
    while let Some((name, after)) = rest.split_once('=') {
        let (value, left) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap(),
            None => after.split_once(' ').unwrap_or((after, "")),
        };
        pairs.insert(name.to_owned(), value.to_owned());
        rest = left.trim();
    }
    pairs
}

#[test]
fn the_dockerfile_makes_the_same_image() {
    let paths = Paths::from_environment().unwrap();
    let image = image(&paths);
    let dockerfile = read(&paths.root().join("Dockerfile")).unwrap();
    let stage = last_stage(&String::from_utf8(dockerfile).unwrap());
    let all = |wanted: &str| -> Vec<&str> {
        let those = stage.iter().filter(|(name, _)| name == wanted);
        those.map(|(_, rest)| rest.as_str()).collect()
    };
    assert_eq!(all("FROM"), ["scratch"]);

    let config = image.config();
    let entrypoint: serde_json::Value = serde_json::from_str(all("ENTRYPOINT")[0]).unwrap();
    assert_eq!(config["Entrypoint"], entrypoint);
    assert_eq!(config["User"], all("USER")[0]);
    let environment: Vec<_> = pairs(&all("ENV").join(" "))
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(config["Env"], json!(environment));
    // An argument has no value unless somebody gives it one, as the image here has none.
    let arguments: Vec<_> = all("ARG");
    let labels: BTreeMap<_, _> = pairs(&all("LABEL").join(" "))
        .into_iter()
        .map(|(name, value)| match value.strip_prefix('$') {
            Some(argument) => {
                assert!(
                    arguments.contains(&format!("{argument}=\"\"").as_str()),
                    "{argument}: {arguments:?}"
                );
                (name, String::new())
            }
            None => (name, value),
        })
        .collect();
    assert_eq!(config["Labels"], json!(labels));

    // Each file of the image is written by one COPY, with the same permissions where it names some.
    let mut left = image.files();
    for copy in all("COPY") {
        let words: Vec<_> = copy.split_whitespace().collect();
        let target = *words.last().unwrap();
        let mode = words.iter().find_map(|word| word.strip_prefix("--chmod="));
        let before = left.len();
        left.retain(|file, permissions| {
            let is_written = file == target || target.ends_with('/') && file.starts_with(target);
            if is_written && let Some(mode) = mode {
                assert_eq!(
                    u32::from_str_radix(mode, 8).unwrap(),
                    *permissions,
                    "{file}"
                );
            }
            !is_written
        });
        assert!(left.len() < before, "nothing of the image is {target}");
    }
    assert!(left.is_empty(), "the Dockerfile lacks {left:?}");
}
